import { exact, isZero } from './time';

/** Time shows a moment exactly, for lists that are records. */
export function Time({ time }: { time: string | undefined }) {
  if (isZero(time)) return <>–</>;
  return (
    <time dateTime={time} title={time} className="b-time">
      {exact(time)}
    </time>
  );
}
