// A lane: one subscription, what came over it and when, and how it goes on when its connection is lost.

const AGAIN_MS = 300;
// What is kept to look back at, in ms.
export const KEPT_MS = 60_000;
// By less than this do the browser's clock and the server's differ once it is set, in ms.
const CLOCKS_MS = 1_000;
// After this, nobody waits any longer for the answer to a request whose head has crossed, in ms.
const LOST_MS = 2_000;
const NOTES = 8;

export class Lane {
  // Whether it is to be subscribed.
  wanted = true;
  // The last event it has; the next request says so.
  cursor = 0;
  // The feed that this is an event of. It is always said: the server may have been started anew, and a browser repeats a poll whose
  // connection was lost without a word to us.
  epoch = 0;
  state = 'off';
  // How the browser sends over this lane's own connection, where the transport can.
  send = null;

  #subscribe;
  #session;
  #tell;
  #stop = null;
  #counts = zero();
  #connections = new Set();
  #notes = [];
  #crossings = 0;
  // Events that came, to be found by the bytes that carried them, if the server tells of these later.
  #delivered = [];
  // When requests were made that were not seen to cross yet.
  #asked = [];
  // When the last response came that had no head to go with it yet.
  #answered = -Infinity;
  // Crossings whose arrival is not known yet.
  #underWay = [];

  // A lane of the session, which has `id`, `clock` and `pollInterval`; `tell` is called with everything that happens.
  constructor(name, subscribe, session, tell) {
    this.name = name;
    this.#subscribe = subscribe;
    this.#session = session;
    this.#tell = (happened) => tell({ lane: name, ...happened });
  }

  get id() {
    return `${this.#session.id}.${this.name}`;
  }

  // How it stands.
  get figures() {
    const { state, cursor, wanted } = this;
    return { state, cursor, wanted, ...this.#counts, connections: this.#connections.size, notes: this.#notes };
  }

  // Where the transport asks: behind the cursor, under the lane's name.
  address(path) {
    return `${location.origin}${path}?after=${this.cursor}-${this.epoch}&lane=${this.id}`;
  }

  pollInterval() {
    return this.#session.pollInterval;
  }

  // Subscribes until it is told to stop; a lost connection is resumed behind the cursor.
  async run() {
    this.stop();
    const stop = (this.#stop = new AbortController());
    const { signal } = stop;
    this.state = 'on';
    while (!signal.aborted) {
      try {
        await this.#subscribe(this, signal);
      } catch {
        this.#endConnection();
        if (signal.aborted) break;
        this.#counts.reconnects += 1;
        this.state = 'lost';
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
      }
    }
  }

  stop() {
    this.#stop?.abort(new Error('stopped'));
    this.state = 'off';
  }

  // A request is made.
  asked() {
    this.#asked.push(this.#session.clock.now());
  }

  // The response to it is there, or its head at least.
  answered() {
    this.state = 'on';
    const now = this.#session.clock.now();
    const heads = this.#underWay.filter((crossing) => crossing.isHead);
    if (heads.length === 0) this.#answered = now;
    // Only the last of them can be this one's; of those before it, the browser did not tell.
    heads.forEach((head, index) => this.#arrive(head, index === heads.length - 1 ? now : this.#unseen(head)));
  }

  event(json) {
    const now = this.#session.clock.now();
    const { seq, at } = JSON.parse(json);
    if (seq <= this.cursor) {
      this.#counts.repeated += 1;
      return;
    }
    this.#counts.missed += seq - this.cursor - 1;
    this.cursor = seq;
    this.#counts.received += 1;
    this.state = 'on';
    this.#delivered.push({ seq, there: now });
    this.#tell({ kind: 'delivery', seq, at: at / 1e6, there: now, late: now - at / 1e6 });
    for (const crossing of this.#underWay.filter((crossing) => carries(crossing, seq))) this.#arrive(crossing, now);
  }

  // Events have left the history before we had them; or the feed is another, and how much is gone of the last one nobody can say.
  gap({ oldest, epoch }) {
    const had = epoch === this.epoch ? this.cursor : 0;
    this.#counts.missed += Math.max(0, oldest - 1 - had);
    this.cursor = oldest - 1;
    this.epoch = epoch;
  }

  // What the browser's interface told, as it fired.
  note(what) {
    this.#notes = [{ at: this.#session.clock.now(), what }, ...this.#notes].slice(0, NOTES);
  }

  // The server saw bytes cross this lane's socket.
  crossed({ up, at, size, data, connection, watch, seqs, events, event_bytes: eventBytes }) {
    this.#crossings += 1;
    const start = String.fromCharCode(...data.subarray(0, 5));
    const isHead = !up && start === 'HTTP/';
    const crossing = { id: this.#crossings, up, at, left: at, arrived: null, size, data, watch, seqs, events, eventBytes, isHead };
    this.#connections.add(connection);
    const { bytes } = this.#counts;
    this.#counts.bytes = up
      ? { ...bytes, up: bytes.up + size }
      : { ...bytes, down: bytes.down + size, event: bytes.event + eventBytes };
    if (up) {
      crossing.arrived = at;
      if (/^(GET|POST) /.test(start)) {
        this.#counts.requests += 1;
        // Those before it went to a server that is gone, or were not seen.
        const left = this.#asked.filter((asked) => asked <= at).at(-1);
        this.#asked = this.#asked.filter((asked) => asked > at);
        if (left !== undefined) crossing.left = left;
      }
    } else {
      crossing.arrived = this.#arrival(crossing);
      if (crossing.arrived === null) this.#underWay.push(crossing);
    }
    this.#tell({ kind: 'crossing', crossing: { ...crossing } });
  }

  // When bytes came that the browser had before the server's word of them; null if it has not told of them yet.
  #arrival(crossing) {
    const { at, seqs, isHead } = crossing;
    if (isHead) {
      // No response comes before it left, but for the clocks' error.
      const known = this.#answered >= at - 2 * this.#session.clock.error - 1;
      return known ? Math.max(at, this.#answered) : null;
    }
    if (!seqs) return this.#unseen(crossing);
    // The same number long before is another feed's.
    for (let index = this.#delivered.length - 1; index >= 0; index -= 1) {
      const { seq, there } = this.#delivered[index];
      if (there <= at - CLOCKS_MS) break;
      if (seqs[0] <= seq && seq <= seqs[1]) return there;
    }
    return null;
  }

  // When bytes came of which the browser tells nobody, such as heartbeats: after half of the fastest exchange.
  #unseen({ at }) {
    return at + this.#session.clock.error;
  }

  #arrive(crossing, at) {
    this.#underWay.splice(this.#underWay.indexOf(crossing), 1);
    this.#tell({ kind: 'arrival', crossing: crossing.id, at });
  }

  // What was still under way ends with its connection.
  #endConnection() {
    const now = this.#session.clock.now();
    for (const crossing of [...this.#underWay]) this.#arrive(crossing, now);
  }

  // Forgets what is too old to be shown, and gives up waiting for responses that did not come.
  forget() {
    const now = this.#session.clock.now();
    for (const head of this.#underWay.filter(({ isHead, at }) => isHead && at < now - LOST_MS)) this.#arrive(head, this.#unseen(head));
    this.#delivered = this.#delivered.filter(({ there }) => there > now - KEPT_MS);
    this.#underWay = this.#underWay.filter(({ at }) => at > now - KEPT_MS);
    this.#asked = this.#asked.filter((at) => at > now - KEPT_MS);
  }

  // Begins its counts anew.
  reset() {
    this.#counts = zero();
    this.#connections.clear();
    this.#notes = [];
    this.#delivered.length = this.#underWay.length = this.#asked.length = 0;
  }
}

function zero() {
  return { received: 0, missed: 0, repeated: 0, reconnects: 0, requests: 0, bytes: { up: 0, down: 0, event: 0 } };
}

function carries({ seqs }, seq) {
  return seqs !== null && seqs[0] <= seq && seq <= seqs[1];
}
