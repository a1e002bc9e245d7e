/** The console's few icons, drawn here so that no icon package is needed. */

import type { ReactNode } from 'react';

function Icon({ children }: { children: ReactNode }) {
  return (
    <svg
      width="18"
      height="18"
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.8"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
    >
      {children}
    </svg>
  );
}

export const EndpointIcon = () => (
  <Icon>
    <circle cx="18" cy="12" r="3" />
    <path d="M3 7h5l7 5M3 17h5l7-5" />
  </Icon>
);

export const ReleaseIcon = () => (
  <Icon>
    <path d="M12 3 4 7v10l8 4 8-4V7zM4 7l8 4 8-4M12 11v10" />
  </Icon>
);

export const TraceIcon = () => (
  <Icon>
    <path d="M3 6h9M7 12h10M12 18h9" />
  </Icon>
);

export const RevisionIcon = () => (
  <Icon>
    <circle cx="6" cy="6" r="2.5" />
    <circle cx="6" cy="18" r="2.5" />
    <circle cx="18" cy="12" r="2.5" />
    <path d="M8.4 6.8 15.7 11M8.4 17.2l7.3-4.2" />
  </Icon>
);

export const ExperimentIcon = () => (
  <Icon>
    <path d="M9 3h6M10 3v6L4.5 18.5A1.7 1.7 0 0 0 6 21h12a1.7 1.7 0 0 0 1.5-2.5L14 9V3M7.5 15h9" />
  </Icon>
);

export const RegistryIcon = () => (
  <Icon>
    <path d="M4 5h16v5H4zM4 14h16v5H4zM8 7.5h.01M8 16.5h.01" />
  </Icon>
);

export const SunIcon = () => (
  <Icon>
    <circle cx="12" cy="12" r="4" />
    <path d="M12 3v2M12 19v2M3 12h2M19 12h2M5.6 5.6 7 7M17 17l1.4 1.4M5.6 18.4 7 17M17 7l1.4-1.4" />
  </Icon>
);

export const MoonIcon = () => (
  <Icon>
    <path d="M20 14.5A8 8 0 0 1 9.5 4 8 8 0 1 0 20 14.5z" />
  </Icon>
);

/** Two loops that pass through one another. */
export function Mark() {
  return (
    <svg width="26" height="26" viewBox="0 0 32 32" fill="none" strokeWidth="4" aria-hidden="true">
      <circle cx="11.5" cy="16" r="8.5" stroke="var(--mantine-color-loop-6)" />
      <path d="M20.5 7.5a8.5 8.5 0 1 1-6.4 14.1" stroke="#b0439b" strokeLinecap="round" />
    </svg>
  );
}
