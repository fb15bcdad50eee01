// An estimate of the server's clock. It follows from the fastest of several requests for the time; its error is at most half of that
// request's round trip.

const REQUESTS = 12;
const REPEAT_MS = 30_000;

export class Clock {
  #offset = 0;

  // The most that the estimate may be off, in ms; null before the first synchronization.
  error = null;

  // Synchronizes with the server. The old estimate stays in use until all requests are done: a slow first one would make times jump.
  async synchronize() {
    let [fastest, offset] = [Infinity, 0];
    for (let request = 0; request < REQUESTS; request += 1) {
      const sent = performance.now();
      const { now_ns } = await (await fetch('/time', { cache: 'no-store' })).json();
      const roundTrip = performance.now() - sent;
      if (roundTrip < fastest) [fastest, offset] = [roundTrip, now_ns / 1e6 - (sent + roundTrip / 2)];
    }
    this.#offset = offset;
    this.error = fastest / 2;
  }

  // Synchronizes again at intervals, since two clocks drift apart.
  async keepSynchronized() {
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, REPEAT_MS));
      // If the server is unreachable, the lanes show it.
      await this.synchronize().catch(() => {});
    }
  }

  // The current time of the server's clock, in ms.
  now() {
    return performance.now() + this.#offset;
  }
}
