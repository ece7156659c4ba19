/** From figures to pixels, and where the ticks go. */

export interface Scale {
  (value: number): number;
  readonly from: number;
  readonly to: number;
}

export function linear(from: number, to: number, start: number, end: number): Scale {
  const width = to - from || 1;
  return Object.assign((value: number) => start + ((value - from) / width) * (end - start), { from, to });
}

/** Of counts: 0 is drawn where 1 is. */
export function logarithmic(from: number, to: number, start: number, end: number): Scale {
  const scale = linear(Math.log10(Math.max(1, from)), Math.log10(Math.max(from * 1.01, to, 2)), start, end);
  return Object.assign((value: number) => scale(Math.log10(Math.max(1, value))), { from, to });
}

/** The next of 1, 2, 2.5, 5, 10, 20 … that is not below: a round end of an axis that does not move with each figure. */
export function round(value: number): number {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  for (const step of [1, 2, 2.5, 5, 10]) if (step * power >= value * 0.999999) return step * power;
  return 10 * power;
}

/** At most five round figures between two, ends included. */
export function ticks(from: number, to: number): number[] {
  const step = round((to - from) / 4);
  const first = Math.ceil(from / step - 1e-9);
  const last = Math.floor(to / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, index) => (first + index) * step);
}

/** Powers of ten between two counts, both ends included. */
export function powers(from: number, to: number): number[] {
  const found: number[] = [];
  for (let power = 10 ** Math.floor(Math.log10(Math.max(1, from))); power <= to; power *= 10) if (power >= from) found.push(power);
  return found;
}

/** `8`, `1k`, `20k`, `3M`: of an axis. */
export function brief(value: number): string {
  const [size, unit] = value >= 1e6 ? [1e6, "M"] : value >= 1e3 ? [1e3, "k"] : [1, ""];
  return `${Number((value / size).toPrecision(3))}${unit}`;
}
