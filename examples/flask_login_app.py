"""A small application as many are: Flask-Login, forms, a cookie, a CSRF token in each form. Nothing of authscale's.

    granian --interface wsgi --working-dir examples --port 8001 flask_login_app:app

It is measured by examples/own.toml (docs/your-own-app.md). Its passwords stand in accounts.csv, and are for that alone.
"""

import csv
import hmac
import secrets
from pathlib import Path

from flask import Flask, abort, redirect, render_template_string, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import LoginManager, UserMixin, current_user, login_required, login_user, logout_user
from markupsafe import Markup

PEOPLE = {row["username"]: row["password"] for row in csv.DictReader(Path(__file__).with_name("accounts.csv").open())}
FORM = """<form method="post">{{ hidden }}
<input name="username"><input name="password" type="password"><button>Sign in</button></form>"""
ACCOUNT = """<h1>Account of {{ current_user.id }}</h1>
<form method="post" action="{{ url_for('note') }}">{{ hidden }}<input name="text"><button>Keep</button></form>"""

app = Flask(__name__)
app.secret_key = secrets.token_bytes(32)
login_manager = LoginManager(app)
login_manager.login_view = "login"


class Member(UserMixin):
    """Who is signed in; Flask-Login keeps the id in the cookie."""

    def __init__(self, name: str) -> None:
        self.id = name


@login_manager.user_loader
def load(name: str) -> Member | None:
    """The member of a cookie that holds this id."""
    return Member(name) if name in PEOPLE else None


@app.before_request
def check_csrf() -> None:
    """Refuse a form that was not ours."""
    sent = request.form.get("csrf_token", "")
    if request.method == "POST" and not (sent and hmac.compare_digest(sent, session.get("csrf", ""))):
        abort(400, "the form's CSRF token is missing or wrong")


def page(template: str) -> str:
    """A page whose form has the token of this browser."""
    token = session.setdefault("csrf", secrets.token_urlsafe(16))
    hidden = Markup('<input type="hidden" name="csrf_token" value="{}">').format(token)
    return render_template_string(template, hidden=hidden)


@app.route("/login", methods=["GET", "POST"])
def login() -> ResponseReturnValue:
    """The form, and what it is sent to."""
    if request.method == "GET":
        return page(FORM)
    name, password = request.form.get("username", ""), request.form.get("password", "")
    if not hmac.compare_digest(PEOPLE.get(name, "").encode(), password.encode()) or not password:
        return page(FORM)  # again, as most applications do: with the status 200
    login_user(Member(name))
    return redirect(url_for("account"))


@app.get("/account")
@login_required
def account() -> ResponseReturnValue:
    """A page for members."""
    return page(ACCOUNT)


@app.post("/note")
@login_required
def note() -> ResponseReturnValue:
    """A change, for members."""
    return f"kept for {current_user.id}: {len(request.form.get('text', ''))} letters"


@app.post("/logout")
@login_required
def logout() -> ResponseReturnValue:
    """The end of a visit."""
    logout_user()
    return redirect(url_for("login"))
