import { Link } from 'react-router';

/** Name shows what somebody called something: any text, isolated so that it cannot turn the line around, cut where it is too long. */
export function Name({ children, to }: { children: string; to?: string }) {
  const text = (
    <bdi className="b-name" title={children.length > 40 ? children : undefined}>
      {children}
    </bdi>
  );
  return to ? <Link to={to}>{text}</Link> : text;
}

export const resourcePath = (id: string) => `/resources/${encodeURIComponent(id)}`;
export const nodePath = (name: string) => `/nodes/${encodeURIComponent(name)}`;
