"""What of a client's certificate the application sees."""

import pytest

from unicorn_http.serving.tls_variables import certificate_variables, distinguished_name


def name(*parts):
    return tuple((part,) for part in parts)


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ((), ""),
        ((("countryName", "DE"), ("organizationName", "Some"), ("commonName", "Zoe")), "CN=Zoe,O=Some,C=DE"),
        ((("commonName", "a,b+c"),), r"CN=a\,b\+c"),
        ((("commonName", 'a"b\\c<d>e;f'),), r"CN=a\"b\\c\<d\>e\;f"),
        ((("commonName", " a "),), r"CN=\ a\ "),
        ((("commonName", "#a#"),), r"CN=\#a#"),
        ((("commonName", "x,O=Other"),), r"CN=x\,O=Other"),
        ((("commonName", "a\0b"),), r"CN=a\00b"),
        ((("emailAddress", "a@b"), ("userId", "u"), ("1.2.3.4", "v")), "1.2.3.4=v,UID=u,emailAddress=a@b"),
    ],
)
def test_names_are_written_as_rfc_4514_says(parts, text):
    assert distinguished_name(name(*parts)) == text


def test_several_values_in_one_part_are_joined():
    assert distinguished_name(((("commonName", "a"), ("userId", "b")),)) == "CN=a+UID=b"


def test_characters_stand_for_bytes_as_everywhere_in_environ():
    variables = certificate_variables({"subject": name(("commonName", "Zo\xeb \u4e2d"))})
    assert variables["SSL_CLIENT_S_DN_CN"].encode("latin-1").decode() == "Zo\xeb \u4e2d"


def test_a_certificate_without_a_name_has_its_alternative_names():
    alternative = (("DNS", "a"), ("IP Address", "::1"), ("DNS", "b"), ("email", "c@d"), ("URI", "spiffe://e"))
    variables = certificate_variables({"subjectAltName": alternative, "serialNumber": "0A"})
    assert "SSL_CLIENT_S_DN_CN" not in variables
    assert variables["SSL_CLIENT_S_DN"] == ""
    assert variables["SSL_CLIENT_M_SERIAL"] == "0A"
    assert {key: value for key, value in variables.items() if "SAN" in key} == {
        "SSL_CLIENT_SAN_DNS_0": "a",
        "SSL_CLIENT_SAN_DNS_1": "b",
        "SSL_CLIENT_SAN_Email_0": "c@d",
    }
