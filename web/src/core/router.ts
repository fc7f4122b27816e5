/** The address behind the `#`: pages can be bookmarked, and no server has to know them. */

import { computed, signal } from "@preact/signals";

const current = signal(read());
addEventListener("hashchange", () => {
  current.value = read();
});

export const path = computed(() => current.value);

function read(): readonly string[] {
  return location.hash
    .replace(/^#\/?/, "")
    .split("/")
    .filter((part) => part !== "")
    .map(decoded);
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export function hrefTo(...parts: (string | number)[]): string {
  return `#/${parts.map((part) => encodeURIComponent(part)).join("/")}`;
}
