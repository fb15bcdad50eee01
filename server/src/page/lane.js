// A lane: one subscription over one transport, with its counts, and with the events and bytes that it received and their times.

const RECONNECT_MS = 300;
// How long chunks and events are kept so that they can be shown, in ms.
export const KEPT_MS = 60_000;
// The browser's clock and the server's, once they are synchronized, differ by less than this, in ms.
const MAX_CLOCK_ERROR_MS = 1_000;
// How long to wait for the browser to report a response after its headers were sent, in ms.
const RESPONSE_TIMEOUT_MS = 2_000;
const MAX_NOTES = 8;
// The browser's interfaces by which elements of the page load the events. They do not report a response before it has ended, and the page's
// policy allows them this server only.
const ELEMENTS = ['script', 'iframe'];
// How many events that have not come yet are remembered.
const MAX_MISSING = 1_000;

export class Lane {
  // Whether the user wants this lane to be subscribed.
  wanted;
  // The sequence number of the last event received; the next request sends it.
  cursor = 0;
  // The feed that the cursor belongs to. Every request names it: after a restart the server has another feed, and a browser repeats a poll
  // whose connection was lost without reporting it to the page.
  epoch = 0;
  // Sends a text to the server over this lane's own connection; null unless the transport can do that and is connected.
  send = null;

  #state = 'off';
  // When the connection was lost last, and since when the lane has been connected; each is null if it was not since the lane was started.
  #lostAt = null;
  #onSince = null;
  #path;
  #subscribe;
  #session;
  #log;
  #isOrdered;
  // Earlier events that have not come yet, over a transport that changes the order.
  #missing = new Set();
  #isReliable;
  #isElement;
  #isLongPoll;
  // The highest event that may come again.
  #repeatedUpTo = 0;
  #abort = null;
  #counts = zero();
  #connections = new Set();
  #notes = [];
  #chunks = 0;
  // The events that were received lately. The chunks that carried them may be reported after them.
  #delivered = [];
  // The start times of the requests that the trace has not shown yet, and of those and of frames that publish.
  #requestTimes = [];
  #sendTimes = [];
  // The last request that the trace has shown: { connection, sentAt }.
  #lastRequest = null;
  // The connections of which the trace has shown bytes.
  #known = new Set();
  // The time of the last response that came before the trace showed its headers.
  #responseTime = -Infinity;
  // Chunks from the server whose arrival is not known yet, and when the last connection ended.
  #inFlight = [];
  #endedAt = -Infinity;

  // A lane for a transport, which is a row of the server's table with the `subscribe` of its module. The session has `id`, `clock`,
  // `pollInterval`, `origin`, `delay`, that of the relay in ms, and `isTraced`. `log` is called with every chunk, arrival, delivery and cut.
  constructor({ name, path, family, exchange, carrier, browser, subscribe }, session, log) {
    this.name = name;
    this.wanted = family === 'today';
    this.isSocket = exchange === 'socket';
    this.#isLongPoll = exchange === 'long_poll';
    this.#isElement = ELEMENTS.includes(browser);
    this.#isOrdered = !['h3_streams', 'h3_datagrams'].includes(carrier);
    this.#isReliable = carrier !== 'h3_datagrams';
    this.#path = path;
    this.#subscribe = subscribe;
    this.#session = session;
    this.#log = (entry) => log({ lane: name, ...entry });
  }

  // The name by which the server's trace knows this lane.
  get id() {
    return `${this.#session.id}.${this.name}`;
  }

  // 'off', 'asking' until a response comes, 'on', or 'lost' until the next attempt.
  get state() {
    return this.#state;
  }

  set state(state) {
    if (state === 'on' && this.#state !== 'on') this.#onSince = this.#session.clock.now();
    this.#state = state;
  }

  // The lane's state and counts.
  get figures() {
    const { state, cursor, wanted } = this;
    return { state, cursor, wanted, lostAt: this.#lostAt, onSince: this.#onSince, ...this.#counts, connections: this.#connections.size, notes: this.#notes };
  }

  // The cursor to resume from, with the feed that it belongs to. Where later events may overtake earlier ones that are sent again, it is that before
  // the oldest missing one; what comes again then is no repetition.
  get bookmark() {
    let after = this.cursor;
    if (this.#isReliable && this.#missing.size > 0) {
      after = Math.min(...this.#missing) - 1;
      this.#repeatedUpTo = this.cursor;
    }
    return `${after}-${this.epoch}`;
  }

  // The URL of the transport's next request, with the cursor, the lane's name and further parameters.
  requestUrl(more = {}) {
    return this.url(this.#path, { after: this.bookmark, ...more });
  }

  // The URL of a request to `path` with these parameters and the lane's name.
  url(path, parameters) {
    const origin = this.#isElement ? location.origin : this.#session.origin;
    return `${origin}${path}?${new URLSearchParams({ ...parameters, lane: this.id })}`;
  }

  pollInterval() {
    return this.#session.pollInterval;
  }

  // Subscribes until `stop` is called. When the connection is lost, it resumes after the cursor.
  async run() {
    this.stop();
    this.#lostAt = this.#onSince = null;
    const abort = (this.#abort = new AbortController());
    const { signal } = abort;
    while (!signal.aborted) {
      // A long poll has a response only when there is an event; the trace shows earlier that the server has received it.
      this.state = this.#isElement || (this.#isLongPoll && !this.#session.isTraced) ? 'on' : 'asking';
      try {
        await this.#subscribe(this, signal);
      } catch {
        this.#endConnection();
        if (signal.aborted) break;
        this.#counts.reconnects += 1;
        this.#noteLoss();
        this.state = 'lost';
        await new Promise((resolve) => setTimeout(resolve, RECONNECT_MS));
      }
    }
  }

  stop() {
    this.#abort?.abort(new Error('stopped'));
    this.state = 'off';
  }

  // Called when a request is started.
  requested() {
    this.#requestTimes.push(this.#session.clock.now());
  }

  // Publishes a text as the transport can: over its open connection, or else with a separate request.
  async publish(text) {
    const sentAt = this.#session.clock.now();
    this.#sendTimes.push(sentAt);
    try {
      if (this.send) return await this.send(text);
      // Through the relay, which is another origin, the page may send this and not read the response.
      await fetch(this.url('/publish', {}), { method: 'POST', body: text, mode: 'no-cors', credentials: 'include' });
      this.#responseArrived();
    } catch {
      // The trace will not show what could not be sent.
      this.#sendTimes = this.#sendTimes.filter((time) => time !== sentAt);
    }
  }

  // Called when the response of the subscription has come, or at least its headers.
  responded() {
    this.state = 'on';
    this.#responseArrived();
  }

  // Notes when a response arrived. One to a separate request says nothing about the subscription.
  #responseArrived() {
    const now = this.#session.clock.now();
    // A response with events arrives when the events do.
    const responses = this.#inFlight.filter((chunk) => chunk.isResponse && !chunk.seqs);
    if (responses.length === 0) this.#responseTime = now;
    // Only the last of them can be this response; the browser did not report those before it.
    responses.forEach((chunk, index) => this.#arrive(chunk, index === responses.length - 1 ? now : this.#estimatedArrival(chunk)));
  }

  // Called with the JSON of each event that comes.
  event(json) {
    const now = this.#session.clock.now();
    const { seq, at } = JSON.parse(json);
    if (seq <= this.cursor && !this.#missing.delete(seq)) {
      if (seq > this.#repeatedUpTo) this.#counts.repeated += 1;
      return;
    }
    if (seq > this.cursor) {
      this.#counts.missed += seq - this.cursor - 1;
      if (!this.#isOrdered) this.#expectLater(this.cursor + 1, seq);
      this.cursor = seq;
    } else {
      this.#counts.missed -= 1;
    }
    this.#counts.received += 1;
    this.state = 'on';
    this.#delivered.push({ seq, receivedAt: now });
    this.#log({ kind: 'delivery', seq, at: at / 1e6, receivedAt: now, latency: now - at / 1e6 });
    for (const chunk of this.#inFlight.filter((chunk) => carries(chunk, seq))) this.#arrive(chunk, now);
  }

  // The events before this one may still come, those of the newest kept number.
  #expectLater(from, to) {
    for (let seq = Math.max(from, to - MAX_MISSING); seq < to; seq += 1) this.#missing.add(seq);
    for (const seq of this.#missing) {
      if (this.#missing.size <= MAX_MISSING) break;
      this.#missing.delete(seq);
    }
  }

  // Called when the server reports a gap: events have left the history before they were received, or the cursor belongs to another feed. In
  // the second case, it is unknown how many events of the old feed were missed.
  gap({ oldest, epoch }) {
    // Over a transport that changes the order, events after the gap may have come before it.
    if (epoch === this.epoch && oldest <= this.cursor) return;
    const had = epoch === this.epoch ? this.cursor : 0;
    this.#counts.missed += Math.max(0, oldest - 1 - had);
    this.cursor = oldest - 1;
    this.epoch = epoch;
    this.#missing.clear();
  }

  // Records that the browser's interface fired an event, such as `open`.
  note(what) {
    this.#notes = [{ at: this.#session.clock.now(), what }, ...this.#notes].slice(0, MAX_NOTES);
  }

  // Called with each chunk of the server's trace: bytes that were read from or written to this lane's socket.
  traced({ up, at, size, data, connection: number, traceSession, seqs, events, event_bytes: eventBytes }) {
    this.#chunks += 1;
    const start = String.fromCharCode(...data.subarray(0, 5));
    const isResponse = !up && start === 'HTTP/';
    const chunk = { id: this.#chunks, up, at, sentAt: at, arrivedAt: null, lostAt: null, size, data, traceSession, seqs, events, eventBytes, isResponse };
    // A restarted server numbers connections from 1 again.
    const connection = `${traceSession}-${number}`;
    const isNew = !this.#known.has(connection);
    this.#known.add(connection);
    this.#connections.add(connection);
    const { bytes } = this.#counts;
    this.#counts.bytes = up
      ? { ...bytes, up: bytes.up + size }
      : { ...bytes, down: bytes.down + size, event: bytes.event + eventBytes };
    if (up) {
      chunk.arrivedAt = at;
      if (/^(GET |POST |CONNE)/.test(start)) {
        this.#counts.requests += 1;
        // The server has received the long poll.
        if (this.#isLongPoll && this.state === 'asking') this.state = 'on';
        chunk.askedAt = this.#take(start === 'POST ' && this.#sendTimes.length > 0 ? this.#sendTimes : this.#requestTimes, at);
        // The browser opens a connection before it sends the first request on it, and does not say how long that takes.
        const estimated = this.#estimatedSending(at);
        chunk.sentAt = isNew ? Math.max(chunk.askedAt ?? -Infinity, estimated) : (chunk.askedAt ?? estimated);
        this.#lastRequest = { connection, sentAt: chunk.sentAt };
      } else {
        // The body of a request was sent with its headers. Frames that the browser sends by itself have no known time.
        const isBody = this.#lastRequest?.connection === connection && !this.isSocket;
        chunk.sentAt = isBody ? this.#lastRequest.sentAt : (this.#take(this.#sendTimes, at) ?? this.#estimatedSending(at));
      }
    } else {
      chunk.arrivedAt = this.#knownArrival(chunk);
      if (chunk.arrivedAt === null && at <= this.#endedAt) chunk.lostAt = this.#endedAt;
      else if (chunk.arrivedAt === null) this.#inFlight.push(chunk);
    }
    this.#log({ kind: 'chunk', chunk: { ...chunk } });
  }

  // Removes the times up to `at`, and returns the last of them. Earlier ones belong to bytes that were not traced, or went to a server that has
  // ended.
  #take(times, at) {
    const past = times.filter((time) => time <= at + this.#session.clock.error);
    times.splice(0, past.length);
    return past.length > 0 ? Math.min(at, past.at(-1)) : undefined;
  }

  // The estimated time at which bytes were sent that the server read at `at`.
  #estimatedSending(at) {
    return at - this.#session.delay - this.#session.clock.error;
  }

  // The arrival time of a chunk that the trace has just shown; null if it is not known, because the browser has not reported the chunk yet.
  #knownArrival(chunk) {
    const { at, seqs, isResponse } = chunk;
    if (isResponse && !seqs) {
      // A response cannot arrive before it was sent, except by the clocks' error.
      const known = this.#responseTime >= at - 2 * this.#session.clock.error - 1;
      return known ? Math.max(at, this.#responseTime) : null;
    }
    if (!seqs) return this.#estimatedArrival(chunk);
    let first = null;
    // An event with the same number that came long before belongs to another feed.
    for (let index = this.#delivered.length - 1; index >= 0; index -= 1) {
      const { seq, receivedAt } = this.#delivered[index];
      if (receivedAt <= at - MAX_CLOCK_ERROR_MS) break;
      if (seqs[0] <= seq && seq <= seqs[1]) first = receivedAt;
    }
    return first;
  }

  // The estimated arrival time of a chunk that the browser does not report, such as a heartbeat: half of the fastest round trip after it
  // was sent, and the delay of the relay.
  #estimatedArrival({ at }) {
    return at + this.#session.delay + this.#session.clock.error;
  }

  #arrive(chunk, at) {
    this.#inFlight.splice(this.#inFlight.indexOf(chunk), 1);
    this.#log({ kind: 'arrival', chunk: chunk.id, at });
  }

  // Notes when the connection was lost, if there was one; further attempts that fail are the same loss.
  #noteLoss() {
    if (this.#onSince === null || (this.#lostAt !== null && this.#onSince < this.#lostAt)) return;
    this.#lostAt = this.#session.clock.now();
    this.#log({ kind: 'cut', at: this.#lostAt });
  }

  // The connection has ended: what was still in flight is lost.
  #endConnection() {
    this.#endedAt = this.#session.clock.now();
    for (const { id } of this.#inFlight) this.#log({ kind: 'lost', chunk: id, at: this.#endedAt });
    this.#inFlight.length = 0;
  }

  // Discards what is too old to be shown, and stops waiting for responses that were not reported in time.
  discardOld() {
    const now = this.#session.clock.now();
    const overdue = this.#inFlight.filter(({ isResponse, at }) => isResponse && at < now - RESPONSE_TIMEOUT_MS);
    for (const chunk of overdue) this.#arrive(chunk, this.#estimatedArrival(chunk));
    this.#delivered = this.#delivered.filter(({ receivedAt }) => receivedAt > now - KEPT_MS);
    this.#inFlight = this.#inFlight.filter(({ at }) => at > now - KEPT_MS);
    this.#requestTimes = this.#requestTimes.filter((time) => time > now - KEPT_MS);
    this.#sendTimes = this.#sendTimes.filter((time) => time > now - KEPT_MS);
  }

  // Sets all counts to zero.
  reset() {
    this.#counts = zero();
    this.#connections.clear();
    this.#notes = [];
    this.#missing.clear();
    this.#delivered.length = this.#inFlight.length = this.#requestTimes.length = this.#sendTimes.length = 0;
  }
}

function zero() {
  return { received: 0, missed: 0, repeated: 0, reconnects: 0, requests: 0, bytes: { up: 0, down: 0, event: 0 } };
}

function carries({ seqs }, seq) {
  return seqs !== null && seqs[0] <= seq && seq <= seqs[1];
}
