// Numbers and times as they are shown. Times are in UTC, as in the ledger.

const NONE = "–";
const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });

const absent = (value) => value === null || value === undefined;

export const number = (value) => (absent(value) ? NONE : whole.format(value));

/** 12,345 in full, 1.2M from a hundred thousand on. */
export const tokens = (value) => (absent(value) ? NONE : value < 100_000 ? whole.format(value) : short.format(value));

/** As many places as a small sum needs to be told from nothing: $0.000051, $0.02, $12.50. */
export function usd(value) {
  if (absent(value)) return NONE;
  if (value === 0) return "$0";
  const size = Math.abs(value);
  const places = size >= 1 ? 2 : size >= 0.01 ? 4 : 6;
  if (size < 0.000001) return value < 0 ? "> −$0.000001" : "< $0.000001";
  const text = size.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: places });
  return `${value < 0 ? "−" : ""}$${text}`;
}

/** Pico-dollars, whole, as dollars to the last digit: for files, not for people. */
export function exactUsd(pico) {
  if (absent(pico)) return "";
  const sign = pico < 0n ? "-" : "";
  const digits = (pico < 0n ? -pico : pico).toString().padStart(13, "0");
  const fraction = digits.slice(-12).replace(/0+$/, "");
  return sign + digits.slice(0, -12) + (fraction ? `.${fraction}` : "");
}

export function ms(value) {
  if (absent(value)) return NONE;
  if (value < 10) return `${value.toFixed(2)} ms`;
  if (value < 1_000) return `${value.toFixed(0)} ms`;
  if (value < 60_000) return `${(value / 1_000).toFixed(2)} s`;
  return `${Math.floor(value / 60_000)} min ${Math.round((value % 60_000) / 1_000)} s`;
}

export function percent(part, all) {
  if (!all) return NONE;
  const share = (100 * part) / all;
  return `${share > 0 && share < 10 ? share.toFixed(1) : share.toFixed(0)}%`;
}

const iso = (value) => new Date(typeof value === "number" ? value * 1_000 : value).toISOString();

/** 2026-11-29 09:31:45 */
export const moment = (value) => (absent(value) ? NONE : iso(value).slice(0, 19).replace("T", " "));

/** 09:31:45 today, with the day before it otherwise. */
export function time(value) {
  if (absent(value)) return NONE;
  const full = moment(value);
  return full.slice(0, 10) === moment(Date.now() / 1_000).slice(0, 10) ? full.slice(11) : full.slice(5);
}

export const clock = (seconds) => iso(seconds).slice(11, 16);
export const day = (seconds) => iso(seconds).slice(5, 10);

/** JSON for people; sums of money are large whole numbers. */
export function json(value, indent) {
  return JSON.stringify(value, (_, one) => (typeof one === "bigint" ? Number(one) : one), indent);
}

/** `requests_per_minute` is "requests per minute". */
export const words = (name) => String(name).replaceAll("_", " ");

/** 1 request, 2 requests */
export const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;

/** A name, or what stands where there is none. */
export const name = (value) => (absent(value) || value === "" ? "(none)" : value);

/** Limits of a tenant or a key in a line. */
export function limits(object) {
  const parts = Object.entries(object ?? {}).map(([limit, most]) =>
    typeof most === "number" ? `${whole.format(most)} ${limit === "concurrency" ? "at the same time" : words(limit)}` : `${words(limit)}: ${most}`,
  );
  return parts.length === 0 ? "no limits" : parts.join(", ");
}
