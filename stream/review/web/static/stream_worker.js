// One stream for all tabs of a session: each tab has a port, and the stream is closed with the last one.
import { openStream } from "./stream.js";

const ports = new Set();
let close;
let last = { all: true };

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
  });
  port.start();
  if (close) port.postMessage(last); // a tab that is opened later loads everything once
  else close = openStream(tell);
});
