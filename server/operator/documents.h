// Documents of the coordinator as tables for people. Pure.
#ifndef TRIBUTARY_SERVER_OPERATOR_DOCUMENTS_H_
#define TRIBUTARY_SERVER_OPERATOR_DOCUMENTS_H_

#include <string>

#include "tributary/v1/operator.pb.h"

namespace tributary::op {

std::string StatusTable(const v1::Status& status);
std::string RunListTable(const v1::RunList& list);
std::string RunTable(const v1::RunDocument& document);  // the run, its rounds, its contributions
std::string RoundsTable(const v1::RunDocument& document);
std::string ClientListTable(const v1::ClientList& list);
std::string ClientTable(const v1::ClientDocument& document);
std::string VerificationTable(const v1::HistoryVerification& verification);
std::string ReplayTable(const v1::HistoryReplay& replay);
std::string AuditTable(const v1::AuditList& list);
std::string EvaluationTable(const v1::EvaluationDocument& evaluation);
std::string PredictionTable(const v1::PredictionDocument& predictions);

}  // namespace tributary::op

#endif  // TRIBUTARY_SERVER_OPERATOR_DOCUMENTS_H_
