// The server's clock, as far as this page can know it: the fastest of several exchanges decides, and half of it is the error.

const EXCHANGES = 12;
const AGAIN_MS = 30_000;

export class Clock {
  #offset = 0;

  // How far the time may be off, in ms; null before the first exchange.
  error = null;

  async set() {
    let best = Infinity;
    for (let exchange = 0; exchange < EXCHANGES; exchange += 1) {
      const sent = performance.now();
      const { now_ns } = await (await fetch('/time', { cache: 'no-store' })).json();
      const took = performance.now() - sent;
      if (took < best) {
        best = took;
        this.#offset = now_ns / 1e6 - (sent + took / 2);
      }
    }
    this.error = best / 2;
  }

  // Sets it, and sets it again now and then: two clocks drift apart.
  async keep(told) {
    for (;;) {
      try {
        await this.set();
        told(this.error);
      } catch {
        // The server is away; the lanes say so.
      }
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }

  // Now, in ms of the server's clock.
  now() {
    return performance.now() + this.#offset;
  }
}
