/** The look: system fonts, square-ish corners, one accent. Kind colours are in `lineage/kinds.ts` and `styles.css`. */

import { createTheme, type MantineColorsTuple } from '@mantine/core';

const loop: MantineColorsTuple = [
  '#e7f5fb',
  '#cfe8f4',
  '#a0d1e9',
  '#6db8dd',
  '#44a3d2',
  '#2795cb',
  '#1583b5',
  '#0a6d99',
  '#065b81',
  '#034560',
];

export const theme = createTheme({
  primaryColor: 'loop',
  primaryShade: { light: 7, dark: 5 },
  colors: { loop },
  defaultRadius: 'sm',
  fontFamily: 'system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", Arial, sans-serif',
  fontFamilyMonospace: 'ui-monospace, "SF Mono", "Cascadia Mono", Menlo, "Liberation Mono", monospace',
  headings: { fontWeight: '600', sizes: { h1: { fontSize: '1.45rem' }, h2: { fontSize: '1.05rem' } } },
  cursorType: 'pointer',
});
