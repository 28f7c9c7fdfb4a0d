"""Users and their tokens: who may open which store."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from sqlalchemy import Connection, Row, bindparam, insert, select, update

from rlmd.errors import AlreadyExists, InvalidInput, NotFound

from .clock import from_micros, to_micros
from .names import check_id, check_text, short
from .prepared import Prepared
from .records import Token, User
from .tables import tokens, users

PREFIX = "rlmd_"
"""Secrets begin so, that scanners and people know one when they see it."""

# Every call asks this: the statement is made once.
_holder = Prepared(
    select(users, tokens.c.expire_time)
    .join(tokens, tokens.c.user_id == users.c.id)
    .where(tokens.c.hash == bindparam("hash"), tokens.c.revoke_time.is_(None))
)


@dataclass(frozen=True)
class Holder:
    """Whose token it is, and until when."""

    user: User
    expire_time: datetime | None

    def expired(self, now: datetime) -> bool:
        return self.expire_time is not None and self.expire_time <= now


class Accounts:
    """All users and tokens, over one connection. Whoever holds this is above tenancy: the daemon itself."""

    def __init__(self, connection: Connection, now: datetime) -> None:
        self.connection = connection
        self.now = now

    def create_user(self, name: str, *, administrator: bool) -> User:
        """Raises AlreadyExists or InvalidInput."""
        check_id(name, "user_id")
        if self._user(name) is not None:
            raise AlreadyExists(
                f"there is a user {short(name)} already", field="user_id", remedy="Choose another id."
            )
        row = {"name": name, "administrator": administrator, "create_time": to_micros(self.now)}
        user_id = self.connection.execute(insert(users).returning(users.c.id), row).scalar_one()
        return User(id=user_id, name=name, administrator=administrator, create_time=self.now)

    def user(self, name: str) -> User:
        """Raises NotFound."""
        row = self._user(name)
        if row is None:
            raise NotFound(
                f"there is no user {short(name)}", field="name", remedy="List the users that exist."
            )
        return _user(row)

    def users(self, *, after: str = "", most: int = 100) -> list[User]:
        statement = select(users).where(users.c.name > after).order_by(users.c.name).limit(most)
        return [_user(row) for row in self.connection.execute(statement)]

    def first_administrator(self) -> User:
        """Whoever was made at the first start."""
        statement = select(users).where(users.c.administrator.is_(True)).order_by(users.c.id).limit(1)
        return _user(self.connection.execute(statement).one())

    def create_token(
        self, user: User, label: str, *, expire_time: datetime | None = None
    ) -> tuple[Token, str]:
        """A new token and its secret: 256 random bits, of which only the hash is kept."""
        check_text(label, "label", limit=100)
        if expire_time is not None and expire_time <= self.now:
            raise InvalidInput(
                "the time has passed", field="expire_time", remedy="Give one in the future, or none."
            )
        secret = PREFIX + secrets.token_urlsafe(32)
        row = {
            "user_id": user.id,
            "hash": _hash(secret),
            "label": label,
            "create_time": to_micros(self.now),
            "expire_time": None if expire_time is None else to_micros(expire_time),
        }
        token_id = self.connection.execute(insert(tokens).returning(tokens.c.id), row).scalar_one()
        token = Token(id=token_id, user=user.name, label=label, create_time=self.now, expire_time=expire_time)
        return token, secret

    def authenticate(self, secret: str) -> User | None:
        """Whose token this is; None if nobody's, expired or revoked. The hash is what is looked up."""
        holder = self.holder(secret)
        return None if holder is None or holder.expired(self.now) else holder.user

    def holder(self, secret: str) -> Holder | None:
        """Whose token this is, until when; None if nobody's, or revoked."""
        row = _holder.first(self.connection, {"hash": _hash(secret)})
        if row is None:
            return None
        user = User(
            id=row.id,
            name=row.name,
            administrator=bool(row.administrator),
            create_time=from_micros(row.create_time),
        )
        return Holder(user, None if row.expire_time is None else from_micros(row.expire_time))

    def tokens(self, user: User, *, before: int | None = None, most: int = 100) -> list[Token]:
        """The user's tokens, newest first; `before` is the id at which the last page ended."""
        statement = select(tokens).where(tokens.c.user_id == user.id).order_by(tokens.c.id.desc()).limit(most)
        if before is not None:
            statement = statement.where(tokens.c.id < before)
        return [_token(row, user) for row in self.connection.execute(statement)]

    def revoke(self, user: User, token_id: int) -> None:
        """End a token at once; no effect on one that is revoked. Raises NotFound."""
        mine = (tokens.c.id == token_id) & (tokens.c.user_id == user.id)
        if self.connection.execute(select(tokens.c.id).where(mine)).first() is None:
            raise NotFound(
                f"there is no token {token_id}", field="name", remedy="List the tokens that exist."
            )
        statement = update(tokens).where(mine, tokens.c.revoke_time.is_(None))
        self.connection.execute(statement.values(revoke_time=to_micros(self.now)))

    def _user(self, name: str) -> Row[tuple[object, ...]] | None:
        return self.connection.execute(select(users).where(users.c.name == name)).first()


def _hash(secret: str) -> bytes:
    return sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _user(row: object) -> User:
    fields = row._mapping  # type: ignore[attr-defined]
    return User(
        id=fields["id"],
        name=fields["name"],
        administrator=fields["administrator"],
        create_time=from_micros(fields["create_time"]),
    )


def _token(row: object, user: User) -> Token:
    fields = row._mapping  # type: ignore[attr-defined]
    expire, revoke = fields["expire_time"], fields["revoke_time"]
    return Token(
        id=fields["id"],
        user=user.name,
        label=fields["label"],
        create_time=from_micros(fields["create_time"]),
        expire_time=None if expire is None else from_micros(expire),
        revoke_time=None if revoke is None else from_micros(revoke),
    )
