/** The words in the language that is chosen. Read `words.value` while drawing: a change draws everything again. */

import { computed } from "@preact/signals";
import { language } from "../core/choices";
import { de } from "./de";
import { en } from "./en";

export const words = computed(() => (language.value === "de" ? de : en));
