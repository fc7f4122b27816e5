/** All devices: those that wait for approval first. */

import { useSignal } from "@preact/signals";
import { compare } from "../core/format";
import { deviceName } from "../core/names";
import { devices } from "../core/plant";
import { hrefTo } from "../core/router";
import type { Device } from "../core/types";
import { Choice, DeviceState, Empty, Field, Loading, Title } from "../ui/parts";
import { Rows } from "../ui/rows";
import { words } from "../words/words";

type Shown = "all" | "pending" | "offline";

const belongs: Record<Shown, (device: Device) => boolean> = {
  all: () => true,
  pending: (device) => device.status === "pending_approval",
  offline: (device) => device.status === "approved" && !device.online,
};
const ORDER = ["pending_approval", "approved", "rejected"];

export function DevicesPage() {
  const text = words.value;
  const search = useSignal("");
  const shown = useSignal<Shown>("all");
  const all = devices.value;
  if (all === null)
    return (
      <>
        <Title>{text.devices}</Title>
        <Loading />
      </>
    );
  const wanted = search.value.trim().toLowerCase();
  const rows = [...all.values()]
    .filter(belongs[shown.value])
    .filter((device) => !wanted || `${device.device_id} ${device.name} ${device.zone_id} ${device.zone_name}`.toLowerCase().includes(wanted))
    .sort((a, b) => ORDER.indexOf(a.status) - ORDER.indexOf(b.status) || compare(a.device_id, b.device_id));
  return (
    <>
      <Title side={<span class="faint">{text.count(rows.length, all.size)}</span>}>{text.devices}</Title>
      <div class="tools">
        <Field label={text.searchDevices}>
          {(ids) => <input {...ids} type="search" value={search.value} onInput={(event) => (search.value = event.currentTarget.value)} />}
        </Field>
        <Choice
          label={text.filter}
          value={shown.value}
          options={[
            ["all", text.all],
            ["pending", text.pending],
            ["offline", text.offlineFilter],
          ]}
          choose={(value) => {
            shown.value = value;
          }}
        />
      </div>
      {all.size === 0 ? (
        <Empty text={text.emptySite} advice={text.emptySiteAdvice} />
      ) : rows.length === 0 ? (
        <Empty text={text.nothingFound} advice={text.nothingFoundAdvice} />
      ) : (
        <Rows label={text.devices} rows={rows} keyOf={(device) => device.device_id} draw={(device) => <DeviceRow device={device} />} />
      )}
    </>
  );
}

function DeviceRow({ device }: { device: Device }) {
  const text = words.value;
  return (
    <a class="row" href={hrefTo("devices", device.device_id)}>
      <span class="row-name">
        <bdi class="long strong">{deviceName(device)}</bdi>
        <bdi class="long faint">
          {device.device_id}
          {(device.zone_name || device.zone_id) && ` · ${device.zone_name || device.zone_id}`}
        </bdi>
      </span>
      <span class="row-side">
        {device.status === "approved" && device.online && <span class="faint wide-only">{text.healthOf(device.health)}</span>}
        <DeviceState device={device} />
      </span>
    </a>
  );
}
