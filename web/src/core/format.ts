/** Numbers, times and spans for people, in the language of the page and the time zone of the browser. */

import { computed, signal } from "@preact/signals";
import { degrees, language } from "./choices";

const locale = computed(() => (language.value === "de" ? "de-DE" : "en-GB"));

/** Unix seconds, once a second; everything that counts down reads it. */
export const now = signal(Date.now() / 1000);
setInterval(() => {
  if (document.visibilityState === "visible") now.value = Date.now() / 1000;
}, 1_000);

export function number(value: number, digits = 1): string {
  return new Intl.NumberFormat(locale.value, { maximumFractionDigits: digits }).format(value);
}

export function percent(fraction: number): string {
  return new Intl.NumberFormat(locale.value, { style: "percent", maximumFractionDigits: 0 }).format(fraction);
}

/** A value with its unit, temperatures in the unit that is chosen. */
export function quantity(value: number, unit: string): string {
  if (unit === "°C" && degrees.value === "F") return `${number(value * 1.8 + 32)}\u00a0°F`;
  const digits = Math.abs(value) >= 1000 ? 0 : 1;
  return unit ? `${number(value, digits)}\u00a0${unit}` : number(value, digits);
}

/** Today the time alone, else with the day. */
export function moment(seconds: number): string {
  const at = new Date(seconds * 1000);
  const isToday = at.toDateString() === new Date().toDateString();
  return new Intl.DateTimeFormat(locale.value, {
    ...(isToday ? {} : { dateStyle: "short" as const }),
    timeStyle: "medium",
  }).format(at);
}

export function span(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const units: [number, "day" | "hour" | "minute" | "second"][] = [
    [86_400, "day"],
    [3_600, "hour"],
    [60, "minute"],
    [1, "second"],
  ];
  const first = units.findIndex(([size]) => whole >= size);
  const begin = first === -1 ? units.length - 1 : first;
  let rest = whole;
  const parts: string[] = [];
  for (const [size, unit] of units.slice(begin, begin + 2)) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count === 0 && parts.length > 0) continue;
    parts.push(new Intl.NumberFormat(locale.value, { style: "unit", unit, unitDisplay: "short" }).format(count));
  }
  return parts.join(" ");
}

/** What runs down: as on a clock, so that it keeps its width. */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.ceil(seconds));
  const two = (part: number) => String(part).padStart(2, "0");
  const rest = `${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
  return whole >= 3_600 ? `${Math.floor(whole / 3_600)}:${rest}` : rest;
}

export function ago(seconds: number): string {
  const past = now.value - seconds;
  const relative = new Intl.RelativeTimeFormat(locale.value, { numeric: "auto", style: "short" });
  if (past < 60) return relative.format(-Math.max(0, Math.round(past)), "second");
  if (past < 3_600) return relative.format(-Math.round(past / 60), "minute");
  if (past < 86_400) return relative.format(-Math.round(past / 3_600), "hour");
  return relative.format(-Math.round(past / 86_400), "day");
}

export function compare(left: string, right: string): number {
  return left.localeCompare(right, locale.value, { numeric: true });
}
