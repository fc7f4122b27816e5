/** A list of rows of one height: of a long one only what is on the screen is drawn. */

import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";

export const ROW_PX = 72;
const DRAWN_WHOLE = 60;
const BEYOND = 8;

export function Rows<Row>({
  label,
  rows,
  keyOf,
  draw,
}: {
  label: string;
  rows: readonly Row[];
  keyOf: (row: Row) => string;
  draw: (row: Row) => ComponentChildren;
}) {
  const list = useRef<HTMLUListElement>(null);
  const shown = useSignal({ from: 0, to: DRAWN_WHOLE });
  const isLong = rows.length > DRAWN_WHOLE;

  useEffect(() => {
    if (!isLong) return undefined;
    const look = () => {
      const top = list.current?.getBoundingClientRect().top ?? 0;
      const from = Math.max(0, Math.floor(-top / ROW_PX) - BEYOND);
      const to = Math.min(rows.length, Math.ceil((innerHeight - top) / ROW_PX) + BEYOND);
      const before = shown.peek();
      if (before.from !== from || before.to !== to) shown.value = { from, to };
    };
    look();
    addEventListener("scroll", look, { passive: true });
    addEventListener("resize", look);
    return () => {
      removeEventListener("scroll", look);
      removeEventListener("resize", look);
    };
  }, [isLong, rows.length]);

  const from = isLong ? Math.min(shown.value.from, rows.length) : 0;
  const to = isLong ? Math.min(Math.max(shown.value.to, from), rows.length) : rows.length;
  const space = { paddingTop: `${from * ROW_PX}px`, paddingBottom: `${(rows.length - to) * ROW_PX}px` };
  return (
    <ul class="rows" aria-label={label} ref={list} style={isLong ? space : undefined}>
      {rows.slice(from, to).map((row, at) => (
        <li key={keyOf(row)} aria-setsize={rows.length} aria-posinset={from + at + 1}>
          {draw(row)}
        </li>
      ))}
    </ul>
  );
}
