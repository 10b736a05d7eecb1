"""A small application as many are: FastAPI, OAuth2 with a password and a signed bearer token. Nothing of authscale's.

    uvicorn --app-dir examples --port 8002 --no-access-log fastapi_app:app

It is measured by examples/own.toml (docs/your-own-app.md). Its passwords stand in accounts.csv, and are for that alone.
"""

import csv
import hmac
import secrets
import time
from pathlib import Path
from typing import Annotated

import jwt
from fastapi import Depends, FastAPI, HTTPException, status
from fastapi.security import OAuth2PasswordBearer, OAuth2PasswordRequestForm
from pydantic import BaseModel

PEOPLE = {row["username"]: row["password"] for row in csv.DictReader(Path(__file__).with_name("accounts.csv").open())}
KEY, ALGORITHM, LIFE_S = secrets.token_hex(32), "HS256", 900

app = FastAPI()
bearer = OAuth2PasswordBearer(tokenUrl="token")


class Note(BaseModel):
    """What a member keeps."""

    text: str


def member(token: Annotated[str, Depends(bearer)]) -> str:
    """Who sends the token."""
    try:
        name: str = jwt.decode(token, KEY, algorithms=[ALGORITHM])["sub"]
    except (jwt.InvalidTokenError, KeyError) as error:
        raise HTTPException(status.HTTP_401_UNAUTHORIZED, headers={"WWW-Authenticate": "Bearer"}) from error
    return name


Member = Annotated[str, Depends(member)]


@app.post("/token")
async def token(form: Annotated[OAuth2PasswordRequestForm, Depends()]) -> dict[str, str]:
    """Sign in."""
    if not hmac.compare_digest(PEOPLE.get(form.username, "").encode(), form.password.encode()) or not form.password:
        raise HTTPException(status.HTTP_401_UNAUTHORIZED)
    claims = {"sub": form.username, "exp": int(time.time()) + LIFE_S}
    return {"access_token": jwt.encode(claims, KEY, algorithm=ALGORITHM), "token_type": "bearer"}


@app.get("/users/me")
async def me(name: Member) -> dict[str, str]:
    """A document for members."""
    return {"username": name}


@app.post("/notes", status_code=status.HTTP_201_CREATED)
async def keep(note: Note, name: Member) -> dict[str, str]:
    """A change, for members."""
    return {"owner": name, "text": note.text}
