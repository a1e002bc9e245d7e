/** Numbers as a reader says them. Pure. */

/** A metric's value with five significant digits, a large one with two behind the point; null is NaN. */
export function metric(value: number | null): string {
  if (value === null) return 'NaN';
  if (Math.abs(value) >= Number.MAX_VALUE) return value > 0 ? '∞' : '−∞';
  if (Number.isInteger(value)) return String(value);
  return String(Number(Math.abs(value) >= 10_000 ? value.toFixed(2) : value.toPrecision(5)));
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** A size in bytes with the unit that fits: `512 B`, `1.5 MiB`. */
export function size(bytes: number): string {
  let [value, unit] = [bytes, 0];
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${Number(value.toFixed(unit > 0 && value < 100 ? 1 : 0))} ${UNITS[unit]}`;
}
