"""Finding the application that a reference such as `module:attribute` names."""

import ast
import importlib
import os
import sys
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Any

from unicorn_core.errors import ApplicationError, NotAnApplicationError

DEFAULT_ATTRIBUTES = ("application", "app")


def load(reference: str) -> Callable[..., Any]:
    """Import the application.

    Args:
        reference: `module:attribute`, `module:attribute.of.it`, `module:factory('literal', key=True)`, or `module`
            (its attribute `application` or `app`).

    Raises:
        ApplicationError: the import, or the factory, raised; `details` holds the traceback of the user's code.
        NotAnApplicationError: the module has no such attribute, or it is not callable.
    """
    module_name, colon, expression = reference.partition(":")
    call = _parse(reference, expression) if colon else None
    module = _import(module_name, reference)
    if call is None:
        name = next((name for name in DEFAULT_ATTRIBUTES if hasattr(module, name)), None)
        if name is None:
            raise NotAnApplicationError(
                f"module {module_name!r} has no attribute 'application' or 'app': name it as {module_name}:NAME"
            )
        application = getattr(module, name)
    else:
        application = _evaluate(module, call, reference)
    if not callable(application):
        raise NotAnApplicationError(
            f"{reference!r} is no application: it is not callable but of type {type(application).__name__!r}"
        )
    return application  # type: ignore[no-any-return]


def user_traceback(error: BaseException) -> str:
    """The traceback from the first frame outside of unicorn and the import machinery on."""
    described = traceback.TracebackException.from_exception(error)
    described.stack = _users_part(described.stack)
    return "".join(described.format())


def user_stack(frame: FrameType | None) -> str:
    """Where a thread stands, from the first frame of the user's code on; all of it if it stands in unicorn's own."""
    stack = traceback.StackSummary.extract(traceback.walk_stack(frame))
    stack.reverse()
    return "".join((_users_part(stack) or stack).format())


def _users_part(stack: traceback.StackSummary) -> traceback.StackSummary:
    """A stack without the frames that led to the user's code: unicorn's, and those of what started it."""
    own = [i for i, frame in enumerate(stack) if "/unicorn_" in frame.filename or frame.filename == importlib.__file__]
    begin = own[-1] + 1 if own else 0
    while begin < len(stack) and stack[begin].filename.startswith("<frozen importlib"):
        begin += 1
    return traceback.StackSummary.from_list(stack[begin:])


def _parse(reference: str, expression: str) -> ast.expr:
    """The expression behind the colon: a dotted name, or a call of one with literal arguments."""
    wrong = NotAnApplicationError(
        f"cannot read {expression!r} of {reference!r}: it must be a name or a call with literal arguments"
    )
    try:
        parsed = ast.parse(expression, mode="eval").body
    except SyntaxError:
        raise wrong from None
    name = parsed.func if isinstance(parsed, ast.Call) else parsed
    while isinstance(name, ast.Attribute):
        name = name.value
    if not isinstance(name, ast.Name):
        raise wrong
    return parsed


def _import(name: str, reference: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise ApplicationError(_not_found(name, reference)) from error
        raise _failed(reference, error) from error
    except BaseException as error:
        raise _failed(reference, error) from error


def _not_found(name: str, reference: str) -> str:
    message = f"cannot import {reference!r}: there is no module {name!r} in {os.getcwd()} or elsewhere on sys.path"
    if name.endswith(".py") and os.path.isfile(name):
        stem = name.removesuffix(".py").replace(os.sep, ".")
        return f"{message}; did you mean {stem}:app?"
    return message


def _evaluate(module: Any, expression: ast.expr, reference: str) -> Any:
    call = expression if isinstance(expression, ast.Call) else None
    name = ast.unparse(call.func if call else expression)
    target = module
    for part in name.split("."):
        if not hasattr(target, part):
            raise NotAnApplicationError(
                f"cannot find {reference!r}: module {module.__name__!r} ({_file(module)}) has no attribute {name!r}"
            )
        target = getattr(target, part)
    if call is None:
        return target
    try:
        positional = [ast.literal_eval(argument) for argument in call.args]
        named = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords if keyword.arg}
    except ValueError:
        raise NotAnApplicationError(f"the arguments in {reference!r} must be literals") from None
    if not callable(target):
        raise NotAnApplicationError(f"{name!r} of {reference!r} cannot be called: it is no factory")
    try:
        return target(*positional, **named)
    except BaseException as error:
        raise _failed(reference, error) from error


def _file(module: Any) -> str:
    return getattr(module, "__file__", None) or "built in"


def _failed(reference: str, error: BaseException) -> ApplicationError:
    how = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    where = f"(working folder {os.getcwd()}, Python {sys.version.split()[0]})"
    return ApplicationError(f"application {reference!r} failed to boot: {how} {where}", user_traceback(error))
