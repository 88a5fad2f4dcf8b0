export const history = {
  title: 'What happened',
  noEvents: 'No event is kept about it.',
} as const;
