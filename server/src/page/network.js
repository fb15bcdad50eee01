// The controls of the network between the page and the server: the delay, the poll interval, and the faults that the presenter can choose.

import { exactly } from './delay.js';
import { Slider } from './slider.js';
import { text } from './text.js';

const KEYS = { off: 'n', buffer: 'g', 'drop-upgrade': 'u', 'cut-idle': 'i', 'half-open': 'o', 'slow-reader': 'w', 'seventh-tab': '7', crash: 'k' };

export class NetworkControls {
  #shared;
  #fault = null;
  #sliders;

  // Controls within `container`, for the shared subscriptions.
  constructor(container, shared) {
    this.container = container;
    this.#shared = shared;
    const slider = (name, apply) => new Slider(this.#part(name), this.#part(`${name}-value`), { words: exactly, apply });
    this.#sliders = { delay: slider('delay', (ms) => shared.order('network', { delay_ms: ms })) };
    // The lanes have one of their own for the poll interval.
    if (this.#part('poll-interval')) this.#sliders.interval = slider('poll-interval', (ms) => shared.order('pollInterval', { ms }));
  }

  #part(name) {
    return this.container.querySelector(`.${name}`);
  }

  // Shows the current settings.
  show({ settings, pollInterval }) {
    if (!settings) return;
    this.container.dataset.direct = settings.isDirect;
    this.#sliders.delay.show(settings.delay_ms);
    this.#sliders.interval?.show(pollInterval);
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

  // Shows the values, and what there is to watch, in the chosen language.
  translate() {
    for (const slider of Object.values(this.#sliders)) slider.translate();
    const watch = this.#part('watch-for');
    watch.hidden = !this.#fault || this.#fault === 'off';
    watch.textContent = watch.hidden ? '' : text(`watch ${this.#fault}`);
  }
}
