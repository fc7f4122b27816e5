/** What the gateway says in English sentences, in the language of the page where they are known. */

import { language } from "../core/choices";
import { Refusal, Unreachable } from "../core/api";
import german from "./server.de.json";
import { words } from "./words";

export interface Said {
  text: string;
  /** The language of the text, where it is not that of the page. */
  lang?: string;
}

const patterns = Object.entries(german).map(([from, to]) => ({
  match: new RegExp(`^${from.split("{}").map(literal).join("(.+?)")}\\.?$`, "s"),
  to,
}));

export function said(text: string): Said {
  if (language.value === "en" || text === "") return { text };
  const found = translated(text);
  return found === null ? { text, lang: "en" } : { text: found };
}

/** Sentences may hold sentences: the finding of a rule begins with that of its reading. */
function translated(text: string): string | null {
  for (const { match, to } of patterns) {
    const found = match.exec(text);
    if (!found) continue;
    let at = 0;
    return to.replace(/\{\}/g, () => {
      const part = found[++at] ?? "";
      return translated(part) ?? part;
    });
  }
  return null;
}

const germanByCode: Record<string, string> = {
  INVALID_CREDENTIALS: "Der Benutzername oder das Passwort ist falsch.",
  RATE_LIMITED: "Zu viele Versuche. Warten Sie ein wenig.",
  SETUP_NEEDS_TOKEN: "Das Einrichtungs-Token stimmt nicht. Es steht in der Ausgabe des Gateways.",
  SETUP_CLOSED: "Das Gateway ist schon eingerichtet. Melden Sie sich an.",
  WEAK_PASSWORD: "Das Passwort ist zu schwach: Es braucht mindestens 8 Zeichen und höchstens 72 Byte.",
  PERMISSION_DENIED: "Ihre Rolle erlaubt das nicht.",
  NO_EMERGENCY_STOP: "Hier ist kein Not-Halt aktiv.",
  CLEAR_LOCKED_OUT: "Ein Not-Halt kann erst 5 Sekunden nach dem Drücken aufgehoben werden.",
  SERVICE_UNAVAILABLE: "Das Gateway kann das gerade nicht. Versuchen Sie es noch einmal.",
  CROSS_SITE_REQUEST: "Die Anfrage wurde abgelehnt: Sie kam nicht von dieser Seite. Ein Proxy muss Host weitergeben.",
  ESP_NOT_FOUND: "Dieses Gerät gibt es nicht mehr.",
  ACTUATOR_NOT_FOUND: "Diesen Aktor gibt es nicht mehr.",
  NOT_CONFIRMED: "Noch haben nicht alle Geräte bestätigt.",
  STOP_INPUT_PRESSED: "Ein Not-Halt-Taster ist noch gedrückt. Entriegeln Sie ihn zuerst.",
  INVALID_TRANSITION: "Das geht im jetzigen Zustand nicht.",
};

export function saidOf(error: unknown): Said {
  if (error instanceof Unreachable) return { text: words.value.unreachable };
  if (!(error instanceof Refusal)) throw error;
  const known = language.value === "de" ? germanByCode[error.code] : undefined;
  return known ? { text: known } : said(error.message);
}

function literal(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
