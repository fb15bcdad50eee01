// The server's clock, as far as a browser can know it: the fastest of several exchanges decides, and half of it is the error.

const EXCHANGES = 12;
const AGAIN_MS = 30_000;

export class Clock {
  #offset = 0;

  // How far the time may be off, in ms; null before it is set.
  error = null;

  // Sets it. Until all exchanges are done the old setting holds: a first, slow exchange would make times jump.
  async set() {
    let [best, offset] = [Infinity, 0];
    for (let exchange = 0; exchange < EXCHANGES; exchange += 1) {
      const sent = performance.now();
      const { now_ns } = await (await fetch('/time', { cache: 'no-store' })).json();
      const took = performance.now() - sent;
      if (took < best) [best, offset] = [took, now_ns / 1e6 - (sent + took / 2)];
    }
    this.#offset = offset;
    this.error = best / 2;
  }

  // Sets it again now and then: two clocks drift apart.
  async keep() {
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
      // Where the server is away, the lanes say so.
      await this.set().catch(() => {});
    }
  }

  // Now, in ms of the server's clock.
  now() {
    return performance.now() + this.#offset;
  }
}
