"""The contract on this transport: one test for each rule."""

from treaty_unix.contract import target

from treaty_contracts import contract

test_contract = contract(target)
