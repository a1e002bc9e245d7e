/** The colours of charts. Pure. */

/** Okabe and Ito's colours, told apart by readers with any common colour blindness; then grey and Tol's wine. */
export const COLORS = ['#0072b2', '#e69f00', '#009e73', '#cc79a7', '#56b4e9', '#d55e00', '#7f7f7f', '#882255'];

/** What frames a chart: its rules and the text on its axes. */
export function frame(dark: boolean): { rule: string; text: string } {
  return dark ? { rule: '#343a40', text: '#9aa4ad' } : { rule: '#e3e8eb', text: '#5c6770' };
}
