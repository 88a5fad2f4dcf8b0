import { Breadcrumb, BreadcrumbItem } from '@patternfly/react-core';
import { Title } from '@patternfly/react-core';
import { useEffect, type ReactNode } from 'react';
import { Link } from 'react-router';
import { common } from '../texts/common';

/** PageTitle heads every page: where one is, what it is called, its state and its actions. */
export function PageTitle({ title, parents = [], state, actions, lead }: {
  title: string;
  parents?: { text: string; to: string }[];
  state?: ReactNode;
  actions?: ReactNode;
  lead?: ReactNode;
}) {
  useEffect(() => {
    document.title = `${title.slice(0, 100)} · ${common.product}`;
  }, [title]);
  return (
    <header className="b-title">
      {parents.length > 0 && (
        <Breadcrumb>
          {parents.map((p) => (
            <BreadcrumbItem key={p.to} render={({ className, ariaCurrent }) => <Link to={p.to} className={className} aria-current={ariaCurrent}>{p.text}</Link>} />
          ))}
          <BreadcrumbItem isActive>
            <bdi className="b-name">{title}</bdi>
          </BreadcrumbItem>
        </Breadcrumb>
      )}
      <div className="b-title__row">
        <Title headingLevel="h1" size="2xl">
          <bdi className="b-wrap">{title}</bdi>
        </Title>
        {state}
        {actions && <div className="b-title__actions">{actions}</div>}
      </div>
      {lead && <p className="b-title__lead">{lead}</p>}
    </header>
  );
}
