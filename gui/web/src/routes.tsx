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
];
