/** All actuators, found by name, device or type. */

import { useSignal } from "@preact/signals";
import { compare } from "../core/format";
import { actuatorName, actuatorType, deviceName, issuerName } from "../core/names";
import { actuatorKey, actuators, devices } from "../core/plant";
import { hrefTo } from "../core/router";
import type { Actuator } from "../core/types";
import { Choice, Empty, Field, Level, Loading, Title } from "../ui/parts";
import { Rows } from "../ui/rows";
import { words } from "../words/words";
import { Lease } from "./overview";

type Shown = "all" | "on";

export function ActuatorsPage() {
  const text = words.value;
  const search = useSignal("");
  const shown = useSignal<Shown>("all");
  const all = actuators.value;
  if (all === null)
    return (
      <>
        <Title>{text.actuators}</Title>
        <Loading />
      </>
    );
  const wanted = search.value.trim().toLowerCase();
  const rows = [...all.values()]
    .filter((one) => shown.value === "all" || (one.reported_value ?? 0) > 0 || one.desired_value > 0)
    .filter((one) => !wanted || textOf(one).toLowerCase().includes(wanted))
    .sort((a, b) => compare(a.esp_id, b.esp_id) || a.gpio - b.gpio);
  return (
    <>
      <Title side={<span class="faint">{text.count(rows.length, all.size)}</span>}>{text.actuators}</Title>
      <div class="tools">
        <Field label={text.searchActuators}>
          {(ids) => <input {...ids} type="search" value={search.value} onInput={(event) => (search.value = event.currentTarget.value)} />}
        </Field>
        <Choice
          label={text.filter}
          value={shown.value}
          options={[
            ["all", text.all],
            ["on", text.onFilter],
          ]}
          choose={(value) => {
            shown.value = value;
          }}
        />
      </div>
      {all.size === 0 ? (
        <Empty text={text.noActuators} advice={text.noActuatorsAdvice} />
      ) : rows.length === 0 ? (
        <Empty text={text.nothingFound} advice={text.nothingFoundAdvice} />
      ) : (
        <Rows label={text.actuators} rows={rows} keyOf={(one) => actuatorKey(one.esp_id, one.gpio)} draw={(one) => <ActuatorRow actuator={one} />} />
      )}
    </>
  );
}

function textOf(actuator: Actuator): string {
  const device = devices.value?.get(actuator.esp_id);
  return [actuatorName(actuator), actuatorType(actuator), actuator.esp_id, device && deviceName(device), device?.zone_id].join(" ");
}

export function ActuatorRow({ actuator }: { actuator: Actuator }) {
  const text = words.value;
  const device = devices.value?.get(actuator.esp_id);
  const isOn = (actuator.reported_value ?? 0) > 0;
  return (
    <a class="row" href={hrefTo("actuators", actuator.esp_id, actuator.gpio)}>
      <span class="row-name">
        <bdi class="long strong">{actuatorName(actuator)}</bdi>
        <bdi class="long faint">
          {device ? deviceName(device) : actuator.esp_id} · {text.gpio(actuator.gpio)}
        </bdi>
      </span>
      <span class="row-side">
        {isOn && <Lease actuator={actuator} />}
        {actuator.owner && (
          <span class="faint wide-only long" dir="auto">
            {issuerName(actuator.owner)}
          </span>
        )}
        <Level actuator={actuator} />
      </span>
    </a>
  );
}
