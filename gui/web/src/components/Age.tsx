import { useSyncExternalStore } from 'react';
import { now } from '../api/live';
import { common } from '../texts/common';
import { duration, isZero } from './time';

// One clock for all ages on a page.
const listeners = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;
let tick = 0;

function subscribe(f: () => void) {
  listeners.add(f);
  timer ??= setInterval(() => {
    tick++;
    for (const g of listeners) g();
  }, 1000);
  return () => {
    listeners.delete(f);
    if (listeners.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
  };
}

/** useTick renders again each second. */
export function useTick(): number {
  return useSyncExternalStore(subscribe, () => tick);
}

/** Age shows how long ago something was; the exact time is its title. */
export function Age({ time }: { time: string | undefined }) {
  useTick();
  if (isZero(time)) return <>–</>;
  const t = new Date(time!);
  const ms = now() - t.getTime();
  // The server's clock runs on between its answer and this moment.
  const text = ms > -2000 && ms < 1000 ? common.justNow : ms < 0 ? common.inFuture(duration(-ms)) : common.ago(duration(ms));
  return (
    <time dateTime={time} title={t.toLocaleString()}>
      {text}
    </time>
  );
}
