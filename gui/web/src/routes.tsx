// Every page: its address, its name, and where it stands in the navigation. A page is a
// chunk of its own, loaded when it is first opened.
import { lazy, type ComponentType, type LazyExoticComponent } from 'react';
import { shell } from './texts/shell';

export type Section = keyof typeof shell.sections;

export interface Page {
  path: string;
  title: string;
  /** Where it stands in the navigation; a page without one is reached from others. */
  section?: Section | 'top';
  page: LazyExoticComponent<ComponentType>;
}

type Load = () => Promise<{ default: ComponentType }>;

function page(path: string, title: string, load: Load, section?: Page['section']): Page {
  return { path, title, section, page: lazy(load) };
}

const t = shell.pages;

export const pages: Page[] = [
  page('/', t.overview, () => import('./pages/overview'), 'top'),
  page('/resources', t.resources, () => import('./pages/resources'), 'run'),
  page('/resources/new', t.newResource, () => import('./pages/resources/Edit')),
  page('/resources/:id/edit', t.editResource, () => import('./pages/resources/Edit')),
  page('/services/new', t.serviceWizard, () => import('./pages/services')),
  page('/configuration/:kind/:id', t.configuration, () => import('./pages/configuration/Edit')),
  page('/resources/:id', t.resource, () => import('./pages/resources/Detail')),
  page('/constraints', t.constraints, () => import('./pages/constraints'), 'run'),
  page('/nodes', t.nodes, () => import('./pages/nodes'), 'run'),
  page('/nodes/:name', t.node, () => import('./pages/nodes/Detail')),
  page('/attributes', t.attributes, () => import('./pages/attributes'), 'run'),
  page('/tickets', t.tickets, () => import('./pages/tickets'), 'run'),
  page('/tickets/:id', t.ticket, () => import('./pages/tickets/Detail')),
  page('/fencing', t.fencing, () => import('./pages/fencing'), 'protect'),
  page('/quorum', t.quorum, () => import('./pages/quorum'), 'protect'),
  page('/links', t.links, () => import('./pages/links'), 'protect'),
  page('/store', t.store, () => import('./pages/store'), 'protect'),
  page('/links/:node/:peer/:link', t.link, () => import('./pages/links/Detail')),
  page('/store/:node', t.storeMember, () => import('./pages/store/Detail')),
  page('/events', t.events, () => import('./pages/events'), 'know'),
  page('/transitions', t.transitions, () => import('./pages/transitions'), 'know'),
  page('/transitions/:id', t.transition, () => import('./pages/transitions/Detail')),
  page('/history', t.history, () => import('./pages/history'), 'know'),
  page('/history/:n', t.generation, () => import('./pages/history/Detail')),
  page('/what-if', t.whatIf, () => import('./pages/what-if'), 'know'),
  page('/cluster', t.cluster, () => import('./pages/cluster'), 'administer'),
  page('/backup', t.backup, () => import('./pages/backup'), 'administer'),
  page('/approvals', t.approvals, () => import('./pages/approvals'), 'administer'),
  page('/approvals/:id', t.approval, () => import('./pages/approvals/Detail')),
  page('/audit', t.audit, () => import('./pages/audit'), 'administer'),
  page('/access', t.access, () => import('./pages/access'), 'administer'),
  page('/notifications', t.notifications, () => import('./pages/notifications'), 'administer'),
  page('/configuration', t.yaml, () => import('./pages/configuration/YAML'), 'administer'),
  page('/fencing/new', t.fenceWizard, () => import('./pages/fencing/Wizard')),
  page('/fencing/:id/test', t.fenceTest, () => import('./pages/fencing/Test')),
  page('/two-nodes', t.twoNodes, () => import('./pages/twonodes')),
  page('/join', t.join, () => import('./pages/join')),
];
