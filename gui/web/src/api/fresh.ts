import { useEffect } from 'react';
import { useLive } from './live';

/** How long a change of the state waits until a list is read again: many changes make one read. */
const restMs = 1500;

/** useFresh calls refetch some time after the state of the cluster changed. */
export function useFresh(refetch: () => unknown) {
  const revision = useLive().summary?.revision;
  useEffect(() => {
    const timer = setTimeout(() => void refetch(), restMs);
    return () => clearTimeout(timer);
  }, [revision, refetch]);
}
