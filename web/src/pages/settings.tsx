/** What this browser shows, and who is logged in. */

import { colours, degrees, language, type Colours, type Degrees, type Language } from "../core/choices";
import { gateway, logOut, person } from "../core/session";
import { ActionButton, Card, Choice, Title } from "../ui/parts";
import { words } from "../words/words";

const LANGUAGES: readonly (readonly [Language, string])[] = [
  ["de", "Deutsch"],
  ["en", "English"],
];
const DEGREES: readonly (readonly [Degrees, string])[] = [
  ["C", "°C"],
  ["F", "°F"],
];

export function LanguageChoice() {
  return (
    <Choice
      label={words.value.languageChoice}
      value={language.value}
      options={LANGUAGES}
      choose={(value) => {
        language.value = value;
      }}
    />
  );
}

export function SettingsPage() {
  const text = words.value;
  const names = Object.entries(text.coloursNames) as [Colours, string][];
  const who = person.value;
  return (
    <>
      <Title>{text.settings}</Title>
      <div class="columns">
        <Card heading={text.display}>
          <LanguageChoice />
          <Choice
            label={text.coloursChoice}
            value={colours.value}
            options={names}
            choose={(value) => {
              colours.value = value;
            }}
          />
          <Choice
            label={text.degreesChoice}
            value={degrees.value}
            options={DEGREES}
            choose={(value) => {
              degrees.value = value;
            }}
          />
        </Card>
        <Card heading={text.account}>
          {who && <p dir="auto">{text.loggedInAs(who.username, text.roles[who.role] ?? who.role)}</p>}
          {who?.role === "viewer" && <p class="faint">{text.noStopForViewers}</p>}
          <ActionButton act={logOut}>{text.logOut}</ActionButton>
          {gateway.value && <p class="faint">{text.gatewayVersion(gateway.value.version, gateway.value.kaiser_id)}</p>}
          <p>
            <a href="/api/v1/docs">{text.apiPages}</a>
          </p>
        </Card>
      </div>
    </>
  );
}
