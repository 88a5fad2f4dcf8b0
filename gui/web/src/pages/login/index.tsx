import { Front } from '../../shell/Front';
import { login } from '../../texts/login';
import { LoginForm } from './Form';

/** The log-in page. */
export default function LoginPage() {
  return (
    <Front title={login.title} foot={login.about}>
      <p className="b-subtle b-login__sub">{login.subtitle}</p>
      <LoginForm />
    </Front>
  );
}
