import { common } from '../texts/common';

/** Logo is the sign and the name; the letters take the colour of the text. */
export function Logo() {
  return (
    <span className="b-logo">
      <svg viewBox="0 0 32 32" aria-hidden="true">
        <rect width="32" height="32" rx="8" fill="#0b5cad" />
        <path
          d="M10 23V9h7.2c3 0 4.9 1.5 4.9 3.8 0 1.5-.8 2.6-2.1 3.1 1.7.4 2.8 1.7 2.8 3.4 0 2.4-2 3.7-5.2 3.7zm3.2-8.3h3.5c1.4 0 2.1-.6 2.1-1.6s-.7-1.5-2.1-1.5h-3.5zm0 5.7h3.9c1.5 0 2.3-.6 2.3-1.7s-.8-1.7-2.3-1.7h-3.9z"
          fill="#fff"
        />
      </svg>
      <span>{common.product}</span>
    </span>
  );
}
