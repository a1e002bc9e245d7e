import type { Card } from '../api/types';

/** Stages that somebody chose; `None` is where a revision begins. */
export function staged(card: Card): [string, number][] {
  return Object.entries(card.latest).filter(([stage]) => stage.toLowerCase() !== 'none');
}
