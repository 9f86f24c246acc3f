// The server's messages. A browser opens six connections to a server and no more, so all tabs share one stream where they can.
const AGAIN_MS = 3000;

/** Opens the stream; `onMessage` gets each message, or { cut: true } while the connection is interrupted. Returns how to close it. */
export function openStream(onMessage) {
  let stream;
  let waiting;
  const open = () => {
    stream = new EventSource(new URL("../api/live", import.meta.url));
    stream.addEventListener("message", (event) => onMessage(JSON.parse(event.data)));
    stream.addEventListener("error", () => {
      const refused = stream.readyState === EventSource.CLOSED; // then the browser does not try again by itself
      onMessage({ cut: true, refused });
      if (refused) waiting = setTimeout(open, AGAIN_MS);
    });
  };
  open();
  return () => { clearTimeout(waiting); stream.close(); };
}
