import { $ } from "./page.js";

$("#print").addEventListener("click", () => print());
