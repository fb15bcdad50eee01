// The subscriptions that all tabs of a browser share: the lanes, the server's trace of their sockets, and the controls.
//
// A browser opens six connections of HTTP/1.1 to a host, for all its tabs together, and three of the lanes keep one open. So the lanes
// belong to no tab. Everything that happens to them is appended to a log; each tab polls for the entries that it has not seen yet, and
// draws them.

import { Clock } from './clock.js';
import { elementReported, tabPolled } from './document.js';
import { KEPT_MS, Lane } from './lane.js';
import { OtherTabs } from './other_tabs.js';
import { watch } from './watch.js';
import { TRANSPORTS } from './transports.js';

const DISCARD_MS = 500;
const RETRY_MS = 1000;
// The shortest poll interval, in ms.
const MIN_POLL_INTERVAL_MS = 20;
// Between the start of the trace session and that of the lanes, so that the trace contains their first bytes, in ms.
const START_DELAY_MS = 100;

export class Subscriptions {
  #session = {
    id: '',
    clock: new Clock(),
    pollInterval: 1000,
    // Where the lanes connect: to the server, or to its relay, and how long that delays bytes, in ms.
    origin: location.origin,
    delay: 0,
    // Whether the server traces the lanes.
    isTraced: false,
  };
  #lanes = TRANSPORTS.map((transport) => new Lane(transport, this.#session, (entry) => this.#append(entry)));
  // What happened in the last minute, and the number of older entries that were discarded.
  #log = [];
  #discarded = 0;
  #settings = null;
  // Whether the server traces the lanes: 'connected', 'unreachable', or 'refused' if it has too many trace sessions; null at first.
  #server = null;
  // When the last fault ended, in ms of the server's clock.
  #faultEndedAt = -Infinity;
  #otherTabs = new OtherTabs();
  #areOthersOpening = false;
  #suspended = false;
  #handshake = null;
  #watch = null;
  // On this channel, the presenter's page announces that this browser has the presenter's rights from now on (see presenter.js).
  #rights = new BroadcastChannel('rights');

  constructor() {
    // A connection keeps the rights with which it was opened, so the trace session has to reconnect.
    this.#rights.onmessage = () => this.#watch?.reconnect();
    this.#start();
  }

  // Serves a tab: responds to { since } with what happened since then, carries out { order }, and passes on what it reports of an { element }.
  serve(port) {
    port.onmessage = ({ data }) => {
      if (data.order) this.#orders[data.order](data);
      else if (data.element) elementReported(data.element);
      else {
        tabPolled(port);
        port.postMessage(this.#since(data.since));
      }
    };
  }

  async #start() {
    for (;;) {
      try {
        await this.#session.clock.synchronize();
        // All lanes start after the same event.
        const { head, epoch } = await (await fetch('/load', { cache: 'no-store' })).json();
        for (const lane of this.#lanes) Object.assign(lane, { cursor: head, epoch });
        break;
      } catch {
        this.#server = 'unreachable';
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
    this.#session.clock.keepSynchronized();
    this.#watch = watch(this.#session, (message) => this.#receive(message));
    setInterval(() => this.#discardOld(), DISCARD_MS);
  }

  // The current state, and the log's entries after the first `seen` ones. `next` is the `seen` of the next request.
  #since(seen) {
    return {
      now: this.#session.clock.now(),
      error: this.#session.clock.error,
      next: this.#discarded + this.#log.length,
      log: this.#log.slice(Math.max(0, seen - this.#discarded)),
      lanes: this.#lanes.map(({ name, figures }) => ({ name, figures })),
      settings: this.#settings,
      pollInterval: this.#session.pollInterval,
      server: this.#server,
      faultEndedAt: this.#faultEndedAt,
      handshake: this.#handshake,
    };
  }

  #orders = {
    publish: () => this.#post('/publish', new Date().toLocaleTimeString()),
    burst: ({ events }) => this.#post('/control', JSON.stringify({ burst: events })),
    cut: () => this.#post('/control', JSON.stringify({ cut: this.#session.id })),
    // Periodic events could come in step with the polls, which would then always wait equally long.
    settings: ({ rate, payload }) => this.#post('/control', JSON.stringify({ rate, payload, schedule: 'poisson' })),
    network: ({ delay_ms, fault }) => this.#post('/control', JSON.stringify({ delay_ms, fault })),
    pollInterval: ({ ms }) => (this.#session.pollInterval = Math.max(MIN_POLL_INTERVAL_MS, ms)),
    send: ({ name, text }) => this.#lane(name).publish(text),
    pick: ({ name, wanted }) => {
      const lane = this.#lane(name);
      lane.wanted = wanted;
      if (!wanted) lane.stop();
      // Before the trace session is open, no lane runs; then all that are wanted start.
      else if (this.#server && this.#watch) lane.run();
    },
    reset: () => {
      this.#lanes.forEach((lane) => lane.reset());
      this.#discarded += this.#log.length;
      this.#log = [];
      this.#append({ kind: 'reset' });
    },
    // Without a shared worker, a hidden tab closes its connections, so that other tabs can have them.
    suspend: ({ suspended }) => {
      this.#suspended = suspended;
      if (suspended) this.#lanes.forEach((lane) => lane.stop());
      else if (this.#watch) this.#open();
    },
  };

  #lane(name) {
    return this.#lanes.find((lane) => lane.name === name);
  }

  #post(path, body) {
    return fetch(path, { method: 'POST', body }).catch(() => {});
  }

  // Opens the connections of the lanes. Those that are open are closed first: a response is traced only if its request named the current
  // trace session.
  #open() {
    this.#lanes.forEach((lane) => lane.stop());
    setTimeout(() => {
      if (!this.#suspended && !this.#areOthersOpening) this.#lanes.filter((lane) => lane.wanted).forEach((lane) => lane.run());
    }, START_DELAY_MS);
  }

  #receive(message) {
    if (message.kind === 'chunk') {
      const lane = this.#lane(message.lane);
      lane?.traced(message);
      if (lane?.isSocket) this.#keepHandshake(message);
    } else if (message.kind === 'published') {
      this.#append(message);
    } else if (message.kind === 'settings') {
      const hadFault = (this.#settings?.fault ?? 'off') !== 'off';
      this.#settings = message;
      if (hadFault && message.fault === 'off') this.#faultEndedAt = this.#session.clock.now();
      this.#chooseOrigin();
      this.#openOtherTabs();
    } else if (message.kind === 'connected') {
      this.#server = 'connected';
      this.#session.isTraced = true;
      this.#open();
    } else if (message.kind === 'unreachable' || message.kind === 'refused') {
      // Lanes work without a trace, too: those that are open stay open, and if none has started yet, all start.
      if (this.#server !== message.kind && this.#lanes.every((lane) => lane.state === 'off')) this.#open();
      this.#server = message.kind;
      this.#session.isTraced = false;
    }
  }

  // Has the lanes connect to the relay while a delay or a fault is set. A page that has come over a proxy does not use the relay, which the
  // proxy does not forward.
  #chooseOrigin() {
    const { port, relay_port, delay_ms, fault } = this.#settings;
    const isDirect = Number(location.port || { 'http:': 80, 'https:': 443 }[location.protocol]) === port;
    const isRelayed = isDirect && (delay_ms > 0 || fault !== 'off');
    this.#settings.isDirect = isDirect;
    this.#session.delay = isRelayed ? delay_ms : 0;
    const origin = isRelayed ? `${location.protocol}//${location.hostname}:${relay_port}` : location.origin;
    if (origin === this.#session.origin) return;
    this.#session.origin = origin;
    if (this.#lanes.some(({ state }) => state !== 'off')) this.#open();
  }

  // Opens the streams of other tabs while that is the fault. They are the first, so that the lanes find no free connection.
  async #openOtherTabs() {
    const wanted = this.#settings.fault === 'seventh-tab' && this.#settings.isDirect;
    if (wanted === this.#otherTabs.areOpen) return;
    if (!wanted) return this.#otherTabs.close();
    this.#lanes.forEach((lane) => lane.stop());
    this.#areOthersOpening = true;
    await this.#otherTabs.open(this.#session.origin);
    this.#areOthersOpening = false;
    this.#open();
  }

  // Keeps the headers of the newest WebSocket handshake: those of the request and of the response.
  #keepHandshake({ up, data }) {
    const headers = new TextDecoder().decode(data);
    if (up && headers.startsWith('GET ')) this.#handshake = { request: headers, response: null };
    else if (headers.startsWith('HTTP/') && this.#handshake) this.#handshake = { ...this.#handshake, response: headers };
  }

  #append(entry) {
    this.#log.push({ when: this.#session.clock.now(), ...entry });
  }

  #discardOld() {
    this.#lanes.forEach((lane) => lane.discardOld());
    const young = this.#log.findIndex(({ when }) => when > this.#session.clock.now() - KEPT_MS);
    const old = young < 0 ? this.#log.length : young;
    this.#log.splice(0, old);
    this.#discarded += old;
  }
}
