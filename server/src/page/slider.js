// A slider with its value in words. It shows the value while it is moved, and applies it when it is released.

// How long after that the server may still tell the setting from before, in ms.
const SETTLING_MS = 1000;

export class Slider {
  #input;
  #output;
  #values;
  #words;
  #value = 0;
  // Until when no other value than the applied one is shown, of this page's clock.
  #settlesAt = -Infinity;

  // Connects an input and its output. `values` are those of the slider's positions, in ascending order; without them, the position is the value.
  // `words` has a value in words, and `apply` is called with each new one.
  constructor(input, output, { values = null, words, apply }) {
    this.#input = input;
    this.#output = output;
    this.#values = values;
    this.#words = words;
    if (values) Object.assign(input, { min: 0, max: values.length - 1, step: 1 });
    const choose = () => {
      this.#value = this.#chosen();
      this.translate();
    };
    input.addEventListener('input', choose);
    input.addEventListener('change', () => {
      choose();
      this.#settlesAt = performance.now() + SETTLING_MS;
      apply(this.#value);
    });
  }

  get value() {
    return this.#value;
  }

  // Shows a value, also one between two positions, unless the slider is being moved or the value that was applied has not come yet.
  show(value) {
    if (this.#input.matches(':active')) return;
    if (value === this.#value) this.#settlesAt = -Infinity;
    else if (performance.now() < this.#settlesAt) return;
    this.#value = value;
    const above = this.#values?.findIndex((one) => one > value);
    this.#input.value = this.#values ? (above < 0 ? this.#values.length : above) - 1 : value;
    this.translate();
  }

  // Shows the value in the chosen language.
  translate() {
    const words = this.#words(this.#value);
    if (this.#output.textContent === words) return;
    this.#output.textContent = words;
    this.#input.setAttribute('aria-valuetext', words);
  }

  #chosen() {
    const position = Number(this.#input.value);
    return this.#values ? this.#values[position] : position;
  }
}
