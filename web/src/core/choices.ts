/** What this browser has chosen: language, colours, unit of temperatures. Kept here only, and without storage for this visit. */

import { computed, effect, signal } from "@preact/signals";

export type Language = "de" | "en";
export type Colours = "system" | "light" | "dark";
export type Degrees = "C" | "F";

function stored<Value extends string>(key: string, allowed: readonly Value[], otherwise: Value) {
  let first = otherwise;
  try {
    const found = localStorage.getItem(key);
    first = allowed.find((value) => value === found) ?? otherwise;
  } catch {
    // Storage is forbidden: the choice lasts as long as the page.
  }
  const chosen = signal<Value>(first);
  let isFirst = true;
  effect(() => {
    const value = chosen.value;
    if (isFirst) {
      isFirst = false;
      return;
    }
    try {
      localStorage.setItem(key, value);
    } catch {
      // See above.
    }
  });
  return chosen;
}

const preferred: Language = (navigator.languages ?? [navigator.language]).find((tag) => /^(de|en)\b/i.test(tag))?.toLowerCase().startsWith("de")
  ? "de"
  : "en";

export const language = stored<Language>("godkaiser.language", ["de", "en"], preferred);
export const colours = stored<Colours>("godkaiser.colours", ["system", "light", "dark"], "system");
export const degrees = stored<Degrees>("godkaiser.degrees", ["C", "F"], "C");

const darkSystem = matchMedia("(prefers-color-scheme: dark)");
const isDarkSystem = signal(darkSystem.matches);
darkSystem.addEventListener("change", (event) => {
  isDarkSystem.value = event.matches;
});
export const isDark = computed(() => (colours.value === "system" ? isDarkSystem.value : colours.value === "dark"));

effect(() => {
  document.documentElement.lang = language.value;
  document.documentElement.dataset.colours = isDark.value ? "dark" : "light";
});
