#include "common/crypto/certificate_issuer.h"

#include <memory>

#include "absl/strings/str_cat.h"
#include "common/crypto/openssl_handles.h"

namespace tributary::crypto {
namespace {

struct Usage {
  const char* basic_constraints;
  const char* key_usage;
  const char* extended_key_usage;  // null: none
};

using ExtendedUsagePtr = std::unique_ptr<EXTENDED_KEY_USAGE, Freer<EXTENDED_KEY_USAGE_free>>;
using ObjectPtr = std::unique_ptr<ASN1_OBJECT, Freer<ASN1_OBJECT_free>>;

Usage UsageOf(CertificateUse use) {
  switch (use) {
    case CertificateUse::kAuthority:
      return {"critical,CA:TRUE,pathlen:0", "critical,keyCertSign,cRLSign", nullptr};
    case CertificateUse::kServer:
      return {"critical,CA:FALSE", "critical,digitalSignature", "serverAuth"};
    case CertificateUse::kPeer:
      return {"critical,CA:FALSE", "critical,digitalSignature", "clientAuth"};
    case CertificateUse::kReceipt:
      // An extended usage of neither TLS end, so that the receipt key can open no connection. The number is from the
      // arc that ITU-T X.667 keeps for UUIDs: no registration needed.
      return {"critical,CA:FALSE", "critical,digitalSignature", "2.25.202411232011543210"};
  }
  return {};
}

// Whether `wanted` (null: none) is the one extended usage that there is.
bool HasExtendedUsage(const X509* certificate, const char* wanted) {
  const ExtendedUsagePtr usages(
      static_cast<EXTENDED_KEY_USAGE*>(X509_get_ext_d2i(certificate, NID_ext_key_usage, nullptr, nullptr)));
  if (usages == nullptr || wanted == nullptr) return usages == nullptr && wanted == nullptr;
  const ObjectPtr object(OBJ_txt2obj(wanted, 0));
  return object != nullptr && sk_ASN1_OBJECT_num(usages.get()) == 1 &&
         OBJ_cmp(sk_ASN1_OBJECT_value(usages.get(), 0), object.get()) == 0;
}

absl::Status AddExtension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const ExtensionPtr extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  if (extension == nullptr || X509_add_ext(certificate, extension.get(), -1) != 1)
    return OpenSslError(absl::StrCat("certificate extension ", OBJ_nid2sn(nid)));
  return absl::OkStatus();
}

absl::Status AddName(GENERAL_NAMES* names, int type, const std::string& value) {
  GENERAL_NAME* const name = a2i_GENERAL_NAME(nullptr, nullptr, nullptr, type, value.c_str(), 0);
  ForgetOpenSslErrors();
  if (name == nullptr) return absl::InvalidArgumentError(absl::StrCat("no name for a certificate: ", value));
  TRB_CHECK(sk_GENERAL_NAME_push(names, name) > 0);
  return absl::OkStatus();
}

absl::Status AddAlternativeNames(X509* certificate, const CertificateTerms& terms) {
  if (terms.uris.empty() && terms.dns_names.empty() && terms.ip_addresses.empty()) return absl::OkStatus();
  const NamesPtr names(GENERAL_NAMES_new());
  TRB_CHECK(names != nullptr);
  for (const auto& uri : terms.uris) TRB_RETURN_IF_ERROR(AddName(names.get(), GEN_URI, uri));
  for (const auto& dns : terms.dns_names) TRB_RETURN_IF_ERROR(AddName(names.get(), GEN_DNS, dns));
  for (const auto& ip : terms.ip_addresses) TRB_RETURN_IF_ERROR(AddName(names.get(), GEN_IPADD, ip));
  if (X509_add1_ext_i2d(certificate, NID_subject_alt_name, names.get(), 0, 0) != 1)
    return OpenSslError("subject alternative names");
  return absl::OkStatus();
}

absl::Status SetSerial(X509* certificate, std::string serial) {
  if (serial.empty() || serial.size() > 20) return absl::InvalidArgumentError("a serial number has 1 to 20 bytes");
  serial[0] = static_cast<char>(serial[0] & 0x7f);
  const BigNumberPtr number(
      BN_bin2bn(reinterpret_cast<const unsigned char*>(serial.data()), static_cast<int>(serial.size()), nullptr));
  const IntegerPtr integer(number == nullptr ? nullptr : BN_to_ASN1_INTEGER(number.get(), nullptr));
  if (integer == nullptr || X509_set_serialNumber(certificate, integer.get()) != 1)
    return OpenSslError("serial number");
  return absl::OkStatus();
}

absl::Status SetTimes(X509* certificate, const CertificateTerms& terms) {
  if (terms.not_after <= terms.not_before) return absl::InvalidArgumentError("a certificate must live for some time");
  if (ASN1_TIME_set(X509_getm_notBefore(certificate), absl::ToTimeT(terms.not_before)) == nullptr ||
      ASN1_TIME_set(X509_getm_notAfter(certificate), absl::ToTimeT(terms.not_after)) == nullptr)
    return OpenSslError("certificate times");
  return absl::OkStatus();
}

absl::Status SetSubject(X509* certificate, const std::string& common_name) {
  if (common_name.empty() || common_name.size() > 64)
    return absl::InvalidArgumentError("a certificate's name has 1 to 64 characters");
  if (X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8,
                                 reinterpret_cast<const unsigned char*>(common_name.data()),
                                 static_cast<int>(common_name.size()), -1, 0) != 1)
    return OpenSslError("certificate subject");
  return absl::OkStatus();
}

absl::Status AddExtensions(X509* certificate, X509* issuer, const CertificateTerms& terms) {
  const Usage usage = UsageOf(terms.use);
  TRB_RETURN_IF_ERROR(AddExtension(certificate, issuer, NID_basic_constraints, usage.basic_constraints));
  TRB_RETURN_IF_ERROR(AddExtension(certificate, issuer, NID_key_usage, usage.key_usage));
  if (usage.extended_key_usage != nullptr)
    TRB_RETURN_IF_ERROR(AddExtension(certificate, issuer, NID_ext_key_usage, usage.extended_key_usage));
  TRB_RETURN_IF_ERROR(AddExtension(certificate, issuer, NID_subject_key_identifier, "hash"));
  TRB_RETURN_IF_ERROR(AddExtension(certificate, issuer, NID_authority_key_identifier, "keyid:always"));
  return AddAlternativeNames(certificate, terms);
}

// `issuer` null: self-signed.
absl::StatusOr<Certificate> Make(const PublicKey& subject, const CertificateTerms& terms, X509* issuer,
                                 const PrivateKey& signer) {
  const X509Ptr certificate(X509_new());
  TRB_CHECK(certificate != nullptr);
  X509* const x509 = certificate.get();
  X509* const parent = issuer == nullptr ? x509 : issuer;
  if (X509_set_version(x509, X509_VERSION_3) != 1 || X509_set_pubkey(x509, subject.handle().key.get()) != 1)
    return OpenSslError("make a certificate");
  TRB_RETURN_IF_ERROR(SetSerial(x509, terms.serial));
  TRB_RETURN_IF_ERROR(SetTimes(x509, terms));
  TRB_RETURN_IF_ERROR(SetSubject(x509, terms.common_name));
  if (X509_set_issuer_name(x509, X509_get_subject_name(parent)) != 1) return OpenSslError("certificate issuer");
  TRB_RETURN_IF_ERROR(AddExtensions(x509, parent, terms));
  if (X509_sign(x509, signer.handle().key.get(), EVP_sha256()) <= 0) return OpenSslError("sign a certificate");
  const BioPtr bio = WritingBio();
  if (i2d_X509_bio(bio.get(), x509) != 1) return OpenSslError("write a certificate");
  return Certificate::FromDer(Contents(bio.get()));
}

}  // namespace

absl::StatusOr<Certificate> SelfSign(const PrivateKey& key, const CertificateTerms& terms) {
  return Make(key.public_key(), terms, nullptr, key);
}

absl::StatusOr<Certificate> Issue(const Issuer& issuer, const PublicKey& subject, const CertificateTerms& terms) {
  return Make(subject, terms, issuer.certificate.handle().x509.get(), issuer.key);
}

bool IsMadeFor(const Certificate& certificate, CertificateUse use) {
  X509* const x509 = certificate.handle().x509.get();
  const bool authority = use == CertificateUse::kAuthority;
  const uint32_t key_usage = authority ? KU_KEY_CERT_SIGN | KU_CRL_SIGN : KU_DIGITAL_SIGNATURE;
  const bool is_made_for = X509_check_ca(x509) == (authority ? 1 : 0) && X509_get_key_usage(x509) == key_usage &&
                           HasExtendedUsage(x509, UsageOf(use).extended_key_usage);
  ForgetOpenSslErrors();
  return is_made_for;
}

}  // namespace tributary::crypto
