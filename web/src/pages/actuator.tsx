/** One actuator: what is wanted, what it reports, who switched it and why, and the buttons. */

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { ask } from "../core/api";
import { ago, moment, now, span } from "../core/format";
import { actuatorName, actuatorType, deviceName, issuerName, levelName } from "../core/names";
import { actuatorKey, actuators, devices, readActuator } from "../core/plant";
import { hrefTo } from "../core/router";
import { mayOperate } from "../core/session";
import type { Actuator, Explanation, Page } from "../core/types";
import { ActionButton, Card, Choice, Empty, Facts, Foreign, Level, Loading, Problem, Title } from "../ui/parts";
import { saidOf, type Said } from "../words/server";
import { words } from "../words/words";
import { Lease } from "./overview";
import { ChecksList, CommandForm } from "./switching";

export function ActuatorPage({ espId, gpio }: { espId: string; gpio: number }) {
  const text = words.value;
  const actuator = actuators.value?.get(actuatorKey(espId, gpio));
  if (actuators.value === null) return <Loading />;
  if (!actuator)
    return (
      <>
        <Title>{text.notFound}</Title>
        <Empty text={text.notFoundAdvice} />
        <p>
          <a href={hrefTo("actuators")}>{text.actuators}</a>
        </p>
      </>
    );
  const device = devices.value?.get(espId);
  return (
    <>
      <p class="crumb long">
        <a href={hrefTo("actuators")}>{text.actuators}</a> › <a href={hrefTo("devices", espId)}><bdi>{device ? deviceName(device) : espId}</bdi></a>
      </p>
      <Title side={<Level actuator={actuator} />}>{actuatorName(actuator)}</Title>
      <div class="columns">
        <StateCard actuator={actuator} />
        <Card heading={text.command}>
          <CommandForm espId={espId} gpio={gpio} />
        </Card>
        <HoldCard actuator={actuator} />
      </div>
      <WhyCard espId={espId} gpio={gpio} />
    </>
  );
}

function StateCard({ actuator }: { actuator: Actuator }) {
  const text = words.value;
  const outcome = actuator.last_outcome;
  const isOn = (actuator.reported_value ?? 0) > 0 || actuator.desired_value > 0;
  return (
    <Card heading={text.stateNow}>
      {actuator.pending_correlation_id && (
        <p role="status" class="faint">
          {text.moving}
        </p>
      )}
      <Facts
        rows={[
          [text.wished, levelName(actuator.desired_value)],
          [text.reported, `${levelName(actuator.reported_value)}${actuator.reported_at ? `, ${ago(actuator.reported_at)}` : ""}`],
          [
            text.confirmedBy,
            outcome ? (
              <>
                {text.outcomes[outcome.state] ?? outcome.state} {outcome.at > 0 && <span class="faint">{ago(outcome.at)}</span>}
              </>
            ) : (
              text.noAnswerYet
            ),
          ],
          [text.owner, <bdi>{actuator.owner ? issuerName(actuator.owner) : text.nobody}</bdi>],
          ...(isOn
            ? ([
                [text.until, <Lease actuator={actuator} />],
                [text.since, actuator.on_since ? span(now.value - actuator.on_since) : "–"],
              ] as [string, preact.ComponentChildren][])
            : []),
          [text.kind, `${actuatorType(actuator)}, ${text.gpio(actuator.gpio)}`],
        ]}
      />
    </Card>
  );
}

const HOLDS = ["900", "3600", "14400", "forever"] as const;

function HoldCard({ actuator }: { actuator: Actuator }) {
  const text = words.value;
  const chosen = useSignal<(typeof HOLDS)[number]>("3600");
  const place = `/actuators/${encodeURIComponent(actuator.esp_id)}/${actuator.gpio}/hold`;
  // Its end is no event: the page sees it by the clock.
  const held = actuator.hold && (actuator.hold.until === null || actuator.hold.until > now.value) ? actuator.hold : null;
  const after = () => readActuator(actuator.esp_id, actuator.gpio);
  return (
    <Card heading={text.hold}>
      <p dir="auto">
        {held ? (
          <>
            <strong>{text.heldBy(issuerName(held.by))}</strong>{" "}
            {held.until === null ? text.heldUntilReleased : text.left(span(held.until - now.value))}
          </>
        ) : (
          text.notHeld
        )}
      </p>
      <p class="faint">{text.holdAdvice}</p>
      {mayOperate.value &&
        (held ? (
          <ActionButton
            act={async () => {
              await ask(place, { method: "DELETE" });
              await after();
            }}
          >
            {text.releaseHold}
          </ActionButton>
        ) : (
          <>
            <Choice
              label={text.holdFor}
              value={chosen.value}
              options={HOLDS.map((one) => [one, one === "forever" ? text.untilReleased : span(Number(one))] as const)}
              choose={(value) => {
                chosen.value = value;
              }}
            />
            <ActionButton
              act={async () => {
                await ask(place, { method: "POST", body: chosen.value === "forever" ? {} : { seconds: Number(chosen.value) } });
                await after();
              }}
            >
              {text.takeHold}
            </ActionButton>
          </>
        ))}
    </Card>
  );
}

const SHOWN = 5;
const READ_AGAIN_MS = 3_000;

/** The last commands as a story: what a rule saw, what it decided, how that was judged, how it ended. */
function WhyCard({ espId, gpio }: { espId: string; gpio: number }) {
  const text = words.value;
  const limit = useSignal(SHOWN);
  const found = useSignal<Explanation[] | null>(null);
  const failed = useSignal<Said | null>(null);
  const actuator = actuators.value?.get(actuatorKey(espId, gpio));
  useEffect(() => {
    let isGone = false;
    const read = async () => {
      try {
        const answer = await ask<Page<Explanation>>(`/logic/explain?actuator=${encodeURIComponent(`${espId}:${gpio}`)}&limit=${limit.value}`);
        if (isGone) return;
        found.value = answer.data;
        failed.value = null;
      } catch (error) {
        if (!isGone) failed.value = saidOf(error);
      }
    };
    void read();
    // The history is written behind the command: what is missing now is there a moment later.
    const again = setInterval(() => void read(), READ_AGAIN_MS);
    return () => {
      isGone = true;
      clearInterval(again);
    };
  }, [limit.value, actuator?.pending_correlation_id, actuator?.last_outcome?.correlation_id, actuator?.last_outcome?.state]);
  return (
    <Card heading={text.why}>
      <p class="faint">{text.whyIntro}</p>
      <Problem said={failed.value} />
      {found.value === null ? (
        !failed.value && <Loading />
      ) : found.value.length === 0 ? (
        <Empty text={text.noHistory} />
      ) : (
        <>
          <ol class="story">
            {found.value.map((one) => (
              <Told key={one.correlation_id} told={one} />
            ))}
          </ol>
          {found.value.length === limit.value && limit.value < 100 && (
            <button type="button" onClick={() => (limit.value = Math.min(100, limit.value * 4))}>
              {text.older}
            </button>
          )}
        </>
      )}
    </Card>
  );
}

function Told({ told }: { told: Explanation }) {
  const text = words.value;
  const against = told.checks.filter((check) => !check.passed);
  const level = told.value !== null && told.value > 0 && told.value < 1 ? levelName(told.value) : "";
  const verb = told.verb === "OFF" || told.value === 0 ? text.off : text.on;
  return (
    <li>
      <p class="story-head">
        <time dateTime={new Date(told.requested_at * 1000).toISOString()}>{moment(told.requested_at)}</time>{" "}
        <strong dir="auto">
          {text.wanted(verb, level, told.duration_s > 0 ? span(told.duration_s) : "")} – {issuerName(told.issuer)}
        </strong>
      </p>
      <dl>
        {told.execution?.findings?.length ? (
          <div>
            <dt>{text.story.saw}</dt>
            <dd>
              {told.execution.findings.map((finding) => (
                <p key={finding.path}>
                  <Foreign text={finding.detail} />
                </p>
              ))}
            </dd>
          </div>
        ) : null}
        <div>
          <dt>{text.story.judged}</dt>
          <dd>{against.length ? <ChecksList checks={against} /> : text.checksPassed(told.checks.length)}</dd>
        </div>
        <div>
          <dt>{text.story.ended}</dt>
          <dd>
            {text.outcomes[told.state] ?? told.state} {told.message && <Foreign text={told.message} class="faint" />}
          </dd>
        </div>
      </dl>
    </li>
  );
}
