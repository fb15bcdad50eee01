// The controls of the network between the page and the server: the delay, the poll interval, and the faults that the presenter can choose.

import { text } from './text.js';

const KEYS = { off: 'n', buffer: 'g', 'drop-upgrade': 'u', 'cut-idle': 'i', 'half-open': 'o', crash: 'k' };

// A time in words.
const seconds = (ms) => (ms < 1000 ? `${ms} ms` : `${ms / 1000} ${text('s')}`);

export class NetworkControls {
  #shared;
  #fault = null;

  // Controls within `container`, for the shared subscriptions.
  constructor(container, shared) {
    this.container = container;
    this.#shared = shared;
    this.#connect('delay', (ms) => shared.order('network', { delay_ms: ms }));
    // The lanes have a field for the poll interval.
    if (this.#part('poll-interval')) this.#connect('poll-interval', (ms) => shared.order('pollInterval', { ms }));
  }

  #part(name) {
    return this.container.querySelector(`.${name}`);
  }

  // A slider shows its value while it is moved, and applies it when it is released.
  #connect(name, apply) {
    const slider = this.#part(name);
    slider.addEventListener('input', () => this.#label(name));
    slider.addEventListener('change', () => apply(Number(slider.value)));
  }

  #label(name) {
    const shown = seconds(Number(this.#part(name).value));
    this.#part(`${name}-value`).textContent = shown;
    this.#part(name).setAttribute('aria-valuetext', shown);
  }

  // Shows the current settings.
  show({ settings, pollInterval }) {
    if (!settings) return;
    this.container.dataset.direct = settings.isDirect;
    for (const [name, value] of [['delay', settings.delay_ms], ['poll-interval', pollInterval]]) {
      const slider = this.#part(name);
      if (!slider || slider === document.activeElement && slider.matches(':active')) continue;
      slider.value = value;
      this.#label(name);
    }
    this.#showFaults(settings);
  }

  #showFaults({ faults, fault }) {
    const list = this.#part('fault-list');
    if (list.children.length !== faults.length) {
      list.replaceChildren(...faults.map((name) => this.#button(name)));
      this.#fault = null;
    }
    if (fault === this.#fault) return;
    this.#fault = fault;
    for (const button of list.children) button.setAttribute('aria-pressed', String(button.dataset.fault === fault));
    this.translate();
  }

  #button(fault) {
    const button = document.createElement('button');
    Object.assign(button.dataset, { fault, key: KEYS[fault], control: '' });
    const name = Object.assign(document.createElement('span'), { textContent: text(`fault ${fault}`) });
    name.dataset.text = `fault ${fault}`;
    button.append(name, Object.assign(document.createElement('kbd'), { textContent: KEYS[fault].toUpperCase() }));
    button.addEventListener('click', () => this.#shared.order('network', { fault }));
    return button;
  }

  // Shows in the chosen language what there is to watch.
  translate() {
    const watch = this.#part('watch-for');
    watch.hidden = !this.#fault || this.#fault === 'off';
    watch.textContent = watch.hidden ? '' : text(`watch ${this.#fault}`);
  }
}
