/** Instants and durations for people. Seconds in, words out. */

const SAME_DAY = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const ANY_DAY = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

/** @param {number} instant seconds since the epoch */
export function moment(instant) {
  const date = new Date(instant * 1000);
  return (date.toDateString() === new Date().toDateString() ? SAME_DAY : ANY_DAY).format(date);
}

const SAME_DAY_BRIEFLY = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
const ANY_DAY_BRIEFLY = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/**
 * The same to the minute, where no second matters.
 * @param {number} instant seconds since the epoch
 */
export function minute(instant) {
  const date = new Date(instant * 1000);
  return (date.toDateString() === new Date().toDateString() ? SAME_DAY_BRIEFLY : ANY_DAY_BRIEFLY).format(date);
}

/** @type {[number, string][]} */
const UNITS = [
  [86_400, "d"],
  [3600, "h"],
  [60, "min"],
  [1, "s"],
];

/**
 * How long from now, in the largest unit and the next: `in 29 min 12 s`.
 * @param {number} seconds
 */
export function duration(seconds) {
  const left = Math.floor(seconds);
  if (left <= 0) return "now";
  const first = UNITS.findIndex(([size]) => left >= size);
  const [size, unit] = UNITS[first];
  const [nextSize, nextUnit] = UNITS[first + 1] ?? [size, ""];
  const next = Math.floor((left % size) / nextSize);
  return `in ${Math.floor(left / size)} ${unit}${next > 0 ? ` ${next} ${nextUnit}` : ""}`;
}
