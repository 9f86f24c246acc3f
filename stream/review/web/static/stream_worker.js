// One stream for all tabs of a session: each tab has a port, and the stream is closed with the last one.
import { openStream } from "./stream.js";

const ports = new Set();
let close;
let last = null; // before the first message, nothing is known of the stream

function tell(message) {
  last = message.cut ? message : { all: true };
  for (const port of ports) port.postMessage(message);
}

addEventListener("connect", ({ ports: [port] }) => {
  ports.add(port);
  port.addEventListener("message", () => {
    ports.delete(port);
    if (ports.size) return;
    close();
    close = null;
    last = null;
  });
  port.start();
  close ??= openStream(tell);
  if (last) port.postMessage(last); // a tab that is opened later loads everything once
});
