// The other tabs of the fault "seventh tab": streams that this browser keeps open, as six tabs with one SSE stream each would.
//
// A browser opens six connections of HTTP/1.1 to a host, so no further request gets one. WebSockets have a limit of their own.

const TABS = 6;
// How long the streams may take to open, in ms: over HTTP/1.1, with the longest delay of the relay.
const OPENING_MS = 10_000;

export class OtherTabs {
  #streams = [];
  // Ends the wait for the streams to open.
  #endOpening = () => {};

  get areOpen() {
    return this.#streams.length > 0;
  }

  // Opens the streams to the server at `origin`; resolves once they are open, or closed again.
  async open(origin) {
    this.#streams = Array.from({ length: TABS }, () => new EventSource(`${origin}/sse`));
    const opened = this.#streams.map((stream) => new Promise((resolve) => (stream.onopen = resolve)));
    let timer;
    const ended = new Promise((resolve) => {
      this.#endOpening = resolve;
      timer = setTimeout(resolve, OPENING_MS);
    });
    await Promise.race([Promise.all(opened), ended]);
    clearTimeout(timer);
  }

  // Closes the streams.
  close() {
    this.#streams.forEach((stream) => stream.close());
    this.#streams = [];
    this.#endOpening();
  }
}
