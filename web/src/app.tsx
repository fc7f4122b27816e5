/** The frame of every page: navigation, banners, the stop; and which page is shown. */

import { useEffect } from "preact/hooks";
import { awaySince, Unreachable } from "./core/api";
import { now, span } from "./core/format";
import { connection, follow, hurry } from "./core/live";
import { health, safety } from "./core/plant";
import { hrefTo, path } from "./core/router";
import { isOld, person, phase, start, stopToken } from "./core/session";
import { ActuatorPage } from "./pages/actuator";
import { ActuatorsPage } from "./pages/actuators";
import { DevicePage } from "./pages/device";
import { DevicesPage } from "./pages/devices";
import { LogInForm, LogInPage, SetUpPage } from "./pages/log-in";
import { OverviewPage } from "./pages/overview";
import { SettingsPage } from "./pages/settings";
import { Dialog } from "./ui/dialog";
import { Empty, Loading, Title } from "./ui/parts";
import { StopFrame } from "./ui/stop-frame";
import { words } from "./words/words";

const SLOW_MS = 4_000;
const START_AGAIN_MS = 2_000;

export function App() {
  useEffect(() => {
    let timer: number | undefined;
    const begin = () =>
      void start().then(follow, (error: unknown) => {
        timer = setTimeout(begin, START_AGAIN_MS);
        if (!(error instanceof Unreachable)) throw error;
      });
    begin();
    return () => clearTimeout(timer);
  }, []);

  switch (phase.value) {
    case "starting":
      return (
        <main class="plain">
          <Away />
          <Loading />
        </main>
      );
    case "setup":
      return <SetUpPage />;
    case "out":
      return <LogInPage />;
    default:
      return <Shell />;
  }
}

function Shell() {
  const text = words.value;
  const hasStop = stopToken.value !== null;
  return (
    <div class={hasStop ? "shell with-stop" : "shell"}>
      <a class="skip" href="#content" onClick={(event) => jump(event, "content")}>
        {text.skipToContent}
      </a>
      {hasStop && (
        <a class="skip" href="#stop-frame" onClick={(event) => jump(event, "stop-frame")}>
          {text.skipToStop}
        </a>
      )}
      <header class="top">
        <a class="brand" href={hrefTo()}>
          {text.product}
        </a>
        <Navigation />
        <ConnectionMark />
      </header>
      <Banners />
      <main id="content" tabIndex={-1}>
        <Routed key={path.value.join("/")} />
      </main>
      {hasStop && (
        <aside class="stop-place" aria-label={text.stopFrame}>
          <StopFrame />
        </aside>
      )}
      {phase.value === "expired" && (
        <Dialog heading={text.logInAgain}>
          <p class="faint">{text.logInAgainAdvice}</p>
          <LogInForm username={person.value?.username ?? ""} done={hurry} />
        </Dialog>
      )}
    </div>
  );
}

function jump(event: Event, id: string): void {
  event.preventDefault();
  document.getElementById(id)?.focus();
}

function Navigation() {
  const text = words.value;
  const here = path.value[0] ?? "";
  const entries = [
    ["", text.overview],
    ["devices", text.devices],
    ["actuators", text.actuators],
    ["settings", text.settings],
  ] as const;
  return (
    <nav aria-label={text.navigation}>
      {entries.map(([place, name]) => (
        <a key={place} href={place ? hrefTo(place) : hrefTo()} aria-current={place === here ? "page" : undefined}>
          {name}
        </a>
      ))}
    </nav>
  );
}

function ConnectionMark() {
  const text = words.value;
  const isLive = connection.value === "live";
  return (
    <span class={isLive ? "mark live" : "mark"} title={isLive ? text.liveAdvice : text.askingAdvice}>
      {isLive ? text.live : text.asking}
    </span>
  );
}

/** What has to be seen on every page; the overview says what to do about it. */
function Banners() {
  const text = words.value;
  const stopped = safety.value !== null && safety.value.state !== "normal" && safety.value.state !== "unknown";
  return (
    <div class="banners">
      <Away />
      {isOld.value && (
        <p class="banner calm" role="status">
          {text.newVersion}{" "}
          <button type="button" onClick={() => location.reload()}>
            {text.reload}
          </button>
        </p>
      )}
      {stopped && (
        <p class="banner bad" role="alert">
          <a href={hrefTo()}>
            {text.stopFrame}: {text.stopStates[safety.value?.state ?? ""] ?? safety.value?.state}
          </a>
        </p>
      )}
      {health.value && !health.value.broker.connected && (
        <p class="banner bad" role="alert">
          <a href={hrefTo()}>{text.brokerAway}</a>
        </p>
      )}
    </div>
  );
}

function Away() {
  const since = awaySince.value;
  // A single request that was lost on the way is not worth a word.
  if (since === null || now.value * 1000 - since < SLOW_MS) return null;
  return (
    <p class="banner warn" role="alert">
      {words.value.away(span(now.value - since / 1000))}
    </p>
  );
}

function Routed() {
  const [place, first, second] = path.value;
  switch (place) {
    case undefined:
      return <OverviewPage />;
    case "devices":
      return first === undefined ? <DevicesPage /> : <DevicePage deviceId={first} />;
    case "actuators":
      return first === undefined ? <ActuatorsPage /> : <ActuatorPage espId={first} gpio={Number(second)} />;
    case "settings":
      return <SettingsPage />;
    default:
      return (
        <>
          <Title>{words.value.notFound}</Title>
          <Empty text={words.value.notFoundAdvice} />
          <p>
            <a href={hrefTo()}>{words.value.toOverview}</a>
          </p>
        </>
      );
  }
}
