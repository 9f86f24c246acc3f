import { $, siteUrl, call, Refusal } from "./page.js";
import { t } from "./texts.js";

$("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const wrong = $("#wrong");
  wrong.textContent = "";
  try {
    const answer = await fetch(siteUrl("api/login"), {
      method: "POST", headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ name: $("#name").value, password: $("#password").value }),
    });
    if (!answer.ok) throw new Refusal(answer.status, await answer.json());
    await call("GET", "api/me");
    location.assign(siteUrl("./"));
  } catch (error) {
    wrong.textContent = typeof error.message === "string" ? error.message : t("name or password is wrong");
    $("#password").select();
  }
});
